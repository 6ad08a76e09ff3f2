#!/usr/bin/env bash
# usage: build-root.sh api|worker ROOT [MODEL]
# Makes in the folder ROOT what `docker build` makes an image of, by the same steps, where no container engine is. The
# checkout is built where it is; the worker gets no CUDA libraries here unless OUT/cuda was staged by stage-cuda.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=${1:?usage: build-root.sh api|worker ROOT [MODEL]}
root=${2:?usage: build-root.sh api|worker ROOT [MODEL]}

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
node "$here/../local/with-setup.mjs" stage "$image" "$staged" "${3:-native/models/needle}"
"$here/make-root.sh" "$root"
mkdir -p "$root/steps" && cp -r "$staged" "$root/steps/out" && cp "$here/finish.sh" "$root/steps"
"$here/enter-root.sh" "$root" /steps/finish.sh /steps/out
rm -rf "$root/steps"
