// Reads of pinned host memory by the GPU's own loads: a warp keeps a whole chunk in flight. A few
// blocks saturate the bus; the rest of the device stays free for the keys.

#include "cuda/check.h"
#include "cuda/gather_values.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kBlocks = 16;

__global__ void __launch_bounds__(kThreads)
    gather(const HeadView* heads, Selection selection, int num_lists, int max_selected,
           int chunk_bytes) {
  const int warp = (blockIdx.x * kThreads + threadIdx.x) / 32, lane = threadIdx.x % 32;
  const int warps = gridDim.x * kThreads / 32;
  // Misses of all lists are numbered through; a warp takes every `warps`-th.
  int first = 0, next = warp;
  for (int list = 0; list < num_lists; ++list) {
    const HeadView& head = heads[list];
    // Values in device memory are read where they are.
    const int count = head.slot_values != nullptr ? selection.miss_counts[list] : 0;
    if (next < first + count) {
      const int64_t at = static_cast<int64_t>(list) * max_selected;
      for (; next < first + count; next += warps) {
        const int chunk = selection.miss_chunks[at + next - first];
        const int slot = selection.miss_slots[at + next - first];
        const auto* source =
            reinterpret_cast<const char*>(head.values) + static_cast<int64_t>(chunk) * chunk_bytes;
        auto* target =
            reinterpret_cast<char*>(head.slot_values) + static_cast<int64_t>(slot) * chunk_bytes;
        for (int base = lane * 16; base < chunk_bytes; base += 4 * 32 * 16) {
          uint4 held[4];
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int offset = base + i * 32 * 16;
            if (offset < chunk_bytes) {
              held[i] = __ldcs(reinterpret_cast<const uint4*>(source + offset));
            }
          }
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int offset = base + i * 32 * 16;
            if (offset < chunk_bytes) *reinterpret_cast<uint4*>(target + offset) = held[i];
          }
        }
      }
    }
    first += count;
  }
}

}  // namespace

void gather_values(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                   cudaStream_t stream) {
  const int chunk_bytes =
      shape.chunk_size * shape.head_dim * static_cast<int>(sizeof(__nv_bfloat16));
  gather<<<kBlocks, kThreads, 0, stream>>>(heads, selection, shape.batch * shape.num_kv_heads,
                                           shape.max_selected, chunk_bytes);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
