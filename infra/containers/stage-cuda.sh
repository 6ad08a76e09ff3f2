#!/usr/bin/env bash
# usage: stage-cuda.sh OUT
# Step 2 of the worker's image: builds the CUDA backend with NVIDIA's wheels, which bring compiler and libraries, and
# leaves in OUT/cuda the libraries alone, at the path that the backend looks for them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?usage: stage-cuda.sh OUT}
venv=/opt/gnomon-cuda

python3 -m venv "$venv"
"$venv/bin/pip" install -q --no-cache-dir -r native/cuda/requirements.txt
wheels=$(echo "$venv"/lib/python3*/site-packages)
cmake -S native -B .build/cuda -G Ninja -DCMAKE_BUILD_TYPE=Release -DGNOMON_CUDA=ON -DGNOMON_CUDA_WHEELS="$wheels"
ninja -C .build/cuda gnomon_cuda gnomon_cuda_fp32

for library in libgnomon_cuda.so libgnomon_cuda_fp32.so; do
  install -D ".build/cuda/$library" "$out/app/.build/native/$library"
done
# What the backend links, and what those open by name; not the compilers, headers and static libraries beside them.
for library in "$wheels"/nvidia/cu13/lib/lib{cublas,cublasLt,nvrtc,nvrtc-builtins}.so.* "$wheels"/nvidia/cudnn/lib/libcudnn*.so.*; do
  [ -e "$library" ] || continue
  install -D "$library" "$out/cuda/${library#"$venv"/}"
done
# Of those that are in the image, the runtime being linked in.
for licence in "$wheels"/nvidia_{cublas,cuda_nvrtc,cuda_runtime,cudnn_cu13}-*.dist-info/{licenses/,}License.txt; do
  [ -e "$licence" ] || continue
  install -D -m 644 "$licence" "$out/cuda/${licence#"$venv"/}"
done
