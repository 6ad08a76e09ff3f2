#!/usr/bin/env bash
# usage: finish.sh STAGED
# Last step of an image, run in a plain Debian 12 that becomes it: the app of STAGED, the user that runs it, and nothing
# to build or download with.
set -euo pipefail
staged=${1:?usage: finish.sh STAGED}

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends ca-certificates libstdc++6 libhwy1
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

install -D "$staged/bin/node" /usr/local/bin/node
cp -r "$staged/app" /app
[ ! -d "$staged/cuda" ] || { mkdir -p /opt/gnomon-cuda && cp -r "$staged/cuda/." /opt/gnomon-cuda; }
# Readable by all and writable by nobody but root: the process is neither.
chown -R root:root /app && chmod -R u=rwX,go=rX /app
groupadd --gid 10001 gnomon
useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gnomon
# For the embedded state of a single machine; elsewhere the root file system is read-only.
install -d -o gnomon -g gnomon -m 700 /data
