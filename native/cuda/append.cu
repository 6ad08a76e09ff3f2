// One block a sequence and KV head; head_dim threads.

#include "cuda/launch.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

__global__ void store_row(const HeadView* heads, const int32_t* generated, const Element* key,
                          const Element* value) {
  const int index = blockIdx.y * gridDim.x + blockIdx.x, head_dim = blockDim.x;
  const HeadView& head = heads[index];
  const int64_t target =
      static_cast<int64_t>(head.exact_tokens + generated[blockIdx.y]) * head_dim + threadIdx.x;
  const int64_t source = static_cast<int64_t>(index) * head_dim + threadIdx.x;
  after_previous();
  head.exact_keys[target] = key[source];
  head.exact_values[target] = value[source];
}

}  // namespace

void append(const DecodeShape& shape, const HeadView* heads, const int32_t* generated,
            const Element* key, const Element* value, cudaStream_t stream) {
  launch_early(store_row, dim3(shape.num_kv_heads, shape.batch), shape.head_dim, 0, stream, heads,
               generated, key, value);
}

}  // namespace gnomon::cuda
