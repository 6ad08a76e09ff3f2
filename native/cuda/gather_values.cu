// Reads of pinned host memory by the GPU's own loads: a warp keeps a whole chunk in flight. A few
// blocks saturate the bus; the rest of the device stays free for the keys.

#include <cub/block/block_scan.cuh>

#include "cuda/check.h"
#include "cuda/gather_values.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kBlocks = 8;
using Scan = cub::BlockScan<int, kThreads>;

/// Misses of all lists are numbered through; the warps take them in turn.
__global__ void __launch_bounds__(kThreads)
    gather(const HeadView* heads, Selection selection, int num_lists, int max_selected,
           int chunk_bytes) {
  extern __shared__ int first[];  // (num_lists + 1): number of the first miss of each list
  __shared__ Scan::TempStorage scan;
  int total = 0;
  for (int base = 0; base < num_lists; base += kThreads) {
    const int list = base + threadIdx.x;
    // Values in device memory are read where they are.
    const bool counts = list < num_lists && heads[list].slot_values != nullptr;
    const int own = counts ? selection.miss_counts[list] : 0;
    int before, sum;
    Scan(scan).ExclusiveSum(own, before, sum);
    __syncthreads();
    if (list < num_lists) first[list] = total + before;
    total += sum;
  }
  if (threadIdx.x == 0) first[num_lists] = total;
  __syncthreads();

  const int lane = threadIdx.x % 32, warps = gridDim.x * kThreads / 32;
  for (int miss = (blockIdx.x * kThreads + threadIdx.x) / 32; miss < total; miss += warps) {
    int low = 0, high = num_lists;  // first[low] <= miss < first[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first[middle] <= miss ? low : high) = middle;
    }
    const int64_t at = static_cast<int64_t>(low) * max_selected + miss - first[low];
    const int64_t chunk = selection.miss_chunks[at], slot = selection.miss_slots[at];
    const auto* source = reinterpret_cast<const char*>(heads[low].values) + chunk * chunk_bytes;
    auto* target = reinterpret_cast<char*>(heads[low].slot_values) + slot * chunk_bytes;
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

}  // namespace

void gather_values(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                   cudaStream_t stream) {
  const int chunk_bytes = shape.chunk_size * shape.head_dim * static_cast<int>(sizeof(Element));
  const int lists = shape.batch * shape.num_kv_heads;
  gather<<<kBlocks, kThreads, (lists + 1) * sizeof(int), stream>>>(heads, selection, lists,
                                                                   shape.max_selected, chunk_bytes);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
