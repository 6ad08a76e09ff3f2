// One warp a row and head, which is at most a few elements a lane.

#include "cuda/launch.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

__global__ void normalise(Element* qkv, const Element* query_gain, const Element* key_gain,
                          float eps, int num_heads, int num_kv_heads, int head_dim) {
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y;
  Element* x = qkv + (row * (num_heads + 2 * num_kv_heads) + head) * head_dim;
  const Element* gain = head < num_heads ? query_gain : key_gain;
  after_previous();
  float squares = 0;
  for (int i = threadIdx.x; i < head_dim; i += 32) {
    const float value = to_float(x[i]);
    squares += value * value;
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    squares += __shfl_xor_sync(0xffffffffu, squares, offset);
  }
  const float scale = rsqrtf(squares / head_dim + eps);
  for (int i = threadIdx.x; i < head_dim; i += 32) {
    x[i] = to_element(to_float(x[i]) * scale * to_float(gain[i]));
  }
}

}  // namespace

void norm_heads(Element* qkv, const Element* query_gain, const Element* key_gain, float eps,
                int64_t rows, int32_t num_heads, int32_t num_kv_heads, int32_t head_dim,
                cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), num_heads + num_kv_heads);
  launch_early(normalise, grid, 32, 0, stream, qkv, query_gain, key_gain, eps, num_heads,
               num_kv_heads, head_dim);
}

}  // namespace gnomon::cuda
