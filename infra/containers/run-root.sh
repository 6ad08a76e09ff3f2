#!/usr/bin/env bash
# usage: run-root.sh ROOT DATA [NAME=VALUE...] -- ARGUMENT...
# Runs node in a root of build-root.sh as a container engine would run the image: as user 10001, on a read-only root
# file system, with a scratch /tmp and the folder DATA at /data. SIGTERM reaches the process itself.
set -euo pipefail
root=$(realpath "${1:?usage: run-root.sh ROOT DATA [NAME=VALUE...] -- ARGUMENT...}")
data=$(realpath "${2:?usage: run-root.sh ROOT DATA [NAME=VALUE...] -- ARGUMENT...}")
shift 2
settings=()
while [ "${1:?-- is missing}" != -- ]; do settings+=("$1"); shift; done
shift
chown 10001:10001 "$data"

exec unshare --mount bash -euc '
  root=$1; data=$2; shift 2
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$data" "$root/data"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount -o remount,ro,bind "$root"
  exec chroot --userspec=10001:10001 "$root" "$@"' run-root "$root" "$data" \
  /usr/bin/env -i --chdir=/app GNOMON_STATE_DIR=/data "${settings[@]}" /usr/local/bin/node "$@"
