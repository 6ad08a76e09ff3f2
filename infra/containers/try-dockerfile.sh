#!/usr/bin/env bash
# usage: try-dockerfile.sh STORE [TARGET...]
# Runs the Dockerfile itself where there is no container engine and no image registry: by buildah, which needs no daemon,
# with its chroot isolation. The two base images are stood in for by an empty Debian 12, one of them with this machine's
# Node and npm. Leaves the images gnomon/TARGET in STORE, which buildah reads by `--root STORE/images`. Needs root,
# debootstrap and buildah.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
store=$(realpath -m "${1:?usage: try-dockerfile.sh STORE [TARGET...]}")
shift
command -v buildah >/dev/null || { echo "try-dockerfile.sh: buildah is missing: apt-get install buildah" >&2; exit 1; }
mkdir -p "$store"
b() { command buildah --root "$store/images" --runroot "$store/run" "$@"; }

# What makes certificates of this machine known to npm, pip and Node in the steps that download.
settings=()
while IFS= read -r name; do settings+=(--env "$name=${!name}"); done < <(compgen -e |
  grep -E '^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|PIP_(CERT|DEFAULT_TIMEOUT|DISABLE_PIP_VERSION_CHECK))$' || true)

if ! b inspect docker.io/library/node:24-bookworm >/dev/null 2>&1; then
  [ -e "$store/debian/etc" ] || "$here/make-root.sh" "$store/debian"
  debian=$(b from scratch)
  b add -q "$debian" "$store/debian" / >/dev/null
  b commit -q "$debian" docker.io/library/debian:bookworm-slim >/dev/null

  npm=$(PATH=$(tr : '\n' <<<"$PATH" | grep -v node_modules | paste -sd:) npm root --global)/npm
  node=$(b from --pull-never docker.io/library/debian:bookworm-slim)
  b add -q "$node" "$(command -v node)" /usr/local/bin/node >/dev/null
  b add -q "$node" "$npm" /usr/local/lib/node_modules/npm >/dev/null
  for name in npm npx; do
    b run --isolation chroot "$node" -- ln -s "../lib/node_modules/npm/bin/$name-cli.js" "/usr/local/bin/$name"
  done
  # docker.io's node:24-bookworm has python3, of which the set-up makes no use without tests.
  b config "${settings[@]}" "$node"
  b commit -q "$node" docker.io/library/node:24-bookworm >/dev/null
  b rm "$debian" "$node" >/dev/null
fi

[ $# -gt 0 ] || set -- api worker
for target in "$@"; do
  SECONDS=0
  # The health check is no part of an OCI image.
  b build --format docker --isolation chroot --pull-never --layers --file "$here/Dockerfile" --ignorefile "$here/Dockerfile.dockerignore" \
    --target "$target" --tag "gnomon/$target" "$here/../.."
  echo "ok: gnomon/$target, $SECONDS s"
done
