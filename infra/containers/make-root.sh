#!/usr/bin/env bash
# usage: make-root.sh ROOT [PACKAGE...]
# Makes an empty Debian 12 in the folder ROOT, where no container engine is needed. Needs root and debootstrap.
# This machine's way to its package registries (certificates, client settings) is copied in, so that apt, npm and pip
# work in there as they do out here: such a root is for trying, not for shipping.
set -euo pipefail

root=${1:?usage: make-root.sh ROOT [PACKAGE...]}
shift
packages=$(IFS=,; echo "ca-certificates${*:+,$*}")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" = 0 ] || { echo "make-root.sh: needs root, for chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "make-root.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
[ ! -e "$root/etc" ] || { echo "make-root.sh: $root is a root already" >&2; exit 1; }

debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
cat >"$root/etc/apt/sources.list" <<LIST
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${mirror%/debian}/debian-security bookworm-security main
LIST

# Each is there on some machines only; a name ending in / is a folder whose files are added.
host_settings=(/etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /etc/apt/apt.conf.d/ /etc/apt/auth.conf.d/
  /etc/pip.conf /etc/npmrc /usr/etc/npmrc /root/.npmrc)
for path in "${host_settings[@]}"; do
  [ -e "$path" ] || continue
  mkdir -p "$root$(dirname "$path")"
  # Hooks of this machine's own packages (apt.conf.d) would call programs that the root does not have.
  if [ "$path" = /etc/apt/apt.conf.d/ ]; then
    for file in "$path"*; do
      grep -qE 'Invoke|packagekit|appstream' "$file" || cp "$file" "$root$path"
    done
  elif [ -d "$path" ]; then
    cp -r "$path." "$root$path"
  else
    cp --remove-destination "$path" "$root$path"
  fi
done
