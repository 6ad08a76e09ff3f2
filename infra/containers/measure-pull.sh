#!/usr/bin/env bash
# usage: measure-pull.sh STORE [TARGET...]
# What pulling an image costs beside the network: pushes the images that try-dockerfile.sh left in STORE to a registry on
# loopback, without TLS, and pulls them back. Prints a line of JSON for each: bytes of the layers as sent and of all
# unpacked, and [seconds, seconds of processor] to read them (no unpacking), to decompress them (one core), and to pull
# them whole into an empty store. COMPRESSION is gzip, which every engine makes, or zstd. Needs root, buildah, skopeo,
# docker-registry and, for its layers, zstd.
set -euo pipefail
store=$(realpath "${1:?usage: measure-pull.sh STORE [TARGET...]}")
shift
for tool in buildah skopeo docker-registry; do
  command -v "$tool" >/dev/null || { echo "measure-pull.sh: $tool is missing: apt-get install $tool" >&2; exit 1; }
done
work=$(mktemp -d "$store/pull.XXXX")
registry=
trap 'kill $registry 2>/dev/null || true; rm -rf "$work"' EXIT
port=${PORT:-15000}
cat >"$work/registry.yml" <<YAML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: 127.0.0.1:$port }
YAML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry=$!
for _ in $(seq 50); do curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.2; done

# Prints the seconds that a command takes, and of them the processor's, which other work on the machine changes less.
seconds() {
  local TIMEFORMAT='%R %U %S'
  { time "$@" >"$work/log" 2>&1; } 2>"$work/time" || { cat "$work/log" >&2; exit 1; }
  awk '{ printf "[%.2f, %.2f]", $1, $2 + $3 }' "$work/time"
}
# Of each layer what it unpacks to; the manifest and the configuration are JSON and skipped.
decompress() {
  local layer
  for layer in "$1"/*; do
    case $(head -c 2 "$layer" | od -An -tx1) in
      " 1f 8b") gzip -dc "$layer" ;;
      " 28 b5") zstd -qdc "$layer" ;;
    esac
  done
}
count() { decompress "$1" | wc -c >"$work/bytes"; }
format=v2s2
[ "${COMPRESSION:=gzip}" = gzip ] || format=oci

[ $# -gt 0 ] || set -- api worker
for target in "$@"; do
  at=127.0.0.1:$port/gnomon/$target
  buildah --root "$store/images" --runroot "$store/run" push -q --format "$format" --compression-format "$COMPRESSION" --tls-verify=false "gnomon/$target" "docker://$at"
  read=$(seconds skopeo copy -q --src-tls-verify=false "docker://$at" "dir:$work/$target")
  unzip=$(seconds count "$work/$target")
  pull=$(seconds buildah --root "$work/store" --runroot "$work/run" pull -q --tls-verify=false "docker://$at")
  layers=$(skopeo inspect --raw --tls-verify=false "docker://$at" | node -pe 'JSON.stringify(JSON.parse(require("fs").readFileSync(0)).layers.map((l) => l.size))')
  printf '{"image":"%s","layer_bytes":%s,"unpacked_bytes":%s,"read":%s,"decompress":%s,"pull":%s}\n' \
    "gnomon/$target" "$layers" "$(cat "$work/bytes")" "$read" "$unzip" "$pull"
  rm -rf "${work:?}/$target"
done
