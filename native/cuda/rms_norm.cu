// One block a row; eight elements a thread and load; the sum of squares in fp32.

#include <cub/block/block_reduce.cuh>

#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/vector.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    normalise(const Element* x, const Element* gain, float eps, int width, Element* out) {
  using Reduce = cub::BlockReduce<float, kThreads>;
  __shared__ Reduce::TempStorage storage;
  __shared__ float scale;
  after_previous();
  x += static_cast<int64_t>(blockIdx.x) * width;
  out += static_cast<int64_t>(blockIdx.x) * width;
  float squares = 0;
  for (int i = threadIdx.x * 8; i < width; i += kThreads * 8) {
    const Floats8 values = load8(x + i);
    for (int j = 0; j < 8; ++j) squares += values.at[j] * values.at[j];
  }
  const float sum = Reduce(storage).Sum(squares);
  if (threadIdx.x == 0) scale = rsqrtf(sum / width + eps);
  __syncthreads();
  for (int i = threadIdx.x * 8; i < width; i += kThreads * 8) {
    Floats8 values = load8(x + i);
    const Floats8 gains = load8(gain + i);
    for (int j = 0; j < 8; ++j) values.at[j] *= scale * gains.at[j];
    store8(out + i, values);
  }
}

}  // namespace

void rms_norm(const Element* x, const Element* gain, float eps, int64_t rows, int64_t width,
              Element* out, cudaStream_t stream) {
  launch_early(normalise, dim3(static_cast<unsigned>(rows)), kThreads, 0, stream, x, gain, eps,
               width, out);
}

}  // namespace gnomon::cuda
