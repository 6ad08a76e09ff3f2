#!/usr/bin/env bash
# usage: enter-root.sh ROOT COMMAND [ARGUMENT...]
# Runs a command inside a root of make-root.sh, in mount and process namespaces of its own: nothing is left mounted,
# and what the command started ends with it. Its environment is empty but for PATH, HOME, CI, LANG, the settings of pip,
# and those that name a file of certificates.
set -euo pipefail

root=$(realpath "${1:?usage: enter-root.sh ROOT COMMAND [ARGUMENT...]}")
shift
settings=()
while IFS= read -r line; do settings+=("$line"); done < <(env | grep -E '^(CI|LANG|PIP_[A-Z_]+|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)=' |
  grep -v '^PIP_FIND_LINKS=' || true)

exec unshare --mount --pid --fork --kill-child bash -euc '
  root=$1; shift
  mount --make-rprivate /
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t sysfs -o ro sysfs "$root/sys"
  exec chroot "$root" "$@"' enter-root "$root" /usr/bin/env -i \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${settings[@]}" "$@"
