// Eight elements a thread.

#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/vector.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) gate(const Element* gate_up, int width, Element* out) {
  const int column = (blockIdx.x * kThreads + threadIdx.x) * 8;
  if (column >= width) return;
  const int64_t row = blockIdx.y;
  after_previous();
  Floats8 values = load8(gate_up + row * 2 * width + column);
  const Floats8 up = load8(gate_up + row * 2 * width + width + column);
#pragma unroll
  for (int i = 0; i < 8; ++i) values.at[i] *= up.at[i] / (1.f + __expf(-values.at[i]));
  store8(out + row * width + column, values);
}

}  // namespace

void silu_multiply(const Element* gate_up, int64_t rows, int64_t width, Element* out,
                   cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((width / 8 + kThreads - 1) / kThreads),
                  static_cast<unsigned>(rows));
  launch_early(gate, grid, kThreads, 0, stream, gate_up, width, out);
}

}  // namespace gnomon::cuda
