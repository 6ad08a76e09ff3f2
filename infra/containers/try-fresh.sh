#!/usr/bin/env bash
# usage: try-fresh.sh ROOT
# Proves the README's two commands where nothing is installed: an empty Debian 12 in the folder ROOT with git, python3,
# and this machine's Node and npm, and in it a fresh clone of what is committed here. Needs root and debootstrap.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${1:?usage: try-fresh.sh ROOT}

# npm as it is outside of this project, whose own Node comes first when npm runs a script of it.
PATH=$(tr : '\n' <<<"$PATH" | grep -v node_modules | paste -sd:)
"$here/make-root.sh" "$root" git python3
npm=$(npm root --global)/npm
mkdir -p "$root/usr/local/bin" "$root/usr/local/lib/node_modules"
cp --dereference "$(command -v node)" "$root/usr/local/bin/node"
cp -r "$npm" "$root/usr/local/lib/node_modules/npm"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done
git clone -q "$here/../.." "$root/root/gnomon"

for command in "npm run quickstart -- --json" "npm test"; do
  echo "$command"
  SECONDS=0
  "$here/enter-root.sh" "$root" bash -c "cd /root/gnomon && $command" || { echo "FAILED: $command" >&2; exit 1; }
  echo "ok: $command, $SECONDS s"
done
