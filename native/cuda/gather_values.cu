// Reads of pinned host memory by the GPU. A few blocks saturate the bus, and the rest of the device
// stays free. On sm_90 the copy engines of their multiprocessors take whole chunks into a ring in
// shared memory and out of it again, so that hundreds of chunks are on their way at a time, as many
// as the bus needs when the memory is busy, and threads only say what comes next. Elsewhere a warp
// loads a chunk at a time.

#include <algorithm>
#include <cub/block/block_scan.cuh>
#include <cuda/ptx>

#include "cuda/check.h"
#include "cuda/gather_values.h"
#include "cuda/launch.h"

namespace gnomon::cuda {

namespace {

namespace ptx = ::cuda::ptx;

/// What one kernel sees of the lists of misses.
struct Lists {
  const HeadView* heads;
  Selection selection;
  int count, max_selected, chunk_bytes;
};

/// Numbers the misses of all lists through: first (lists.count + 1) gets the number of the first
/// miss of each list. Returns how many there are. For a whole block; ends with a barrier.
template <int kThreads>
__device__ int number_misses(const Lists& lists, int* first) {
  using Scan = cub::BlockScan<int, kThreads>;
  __shared__ typename Scan::TempStorage scan;
  int total = 0;
  for (int base = 0; base < lists.count; base += kThreads) {
    const int list = base + threadIdx.x;
    // Values in device memory are read where they are.
    const bool counts = list < lists.count && lists.heads[list].slot_values != nullptr;
    const int own = counts ? lists.selection.miss_counts[list] : 0;
    int before, sum;
    Scan(scan).ExclusiveSum(own, before, sum);
    __syncthreads();
    if (list < lists.count) first[list] = total + before;
    total += sum;
  }
  if (threadIdx.x == 0) first[lists.count] = total;
  __syncthreads();
  return total;
}

struct Copy {
  const char* source;
  char* target;
};

/// Where a miss comes from and goes to, by its number.
__device__ Copy copy_of(const Lists& lists, const int* first, int miss) {
  int low = 0, high = lists.count;  // first[low] <= miss < first[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (first[middle] <= miss ? low : high) = middle;
  }
  const int64_t at = static_cast<int64_t>(low) * lists.max_selected + miss - first[low];
  const int64_t chunk = lists.selection.miss_chunks[at], slot = lists.selection.miss_slots[at];
  const HeadView& head = lists.heads[low];
  return {reinterpret_cast<const char*>(head.values) + chunk * lists.chunk_bytes,
          reinterpret_cast<char*>(head.slot_values) + slot * lists.chunk_bytes};
}

constexpr int kBulkBlocks = 4;
constexpr int kBulkWarps = 4;
constexpr int kRingBytes = 40 << 10;  // of a warp
constexpr int kMostStages = 40;

/// What one warp keeps in shared memory beside the chunks on their way.
struct Ring {
  uint64_t arrived[kMostStages];  // barriers
  char* targets[kMostStages];
  Copy looked_up[32];
};

/// Every warp keeps a ring of chunks on their way. Copy i of a warp is miss i warps + own.
__global__ void __launch_bounds__(kBulkWarps * 32) gather_in_bulk(Lists lists, int stages) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) char dynamic[];
  __shared__ Ring rings[kBulkWarps];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, bytes = lists.chunk_bytes;
  Ring& ring = rings[warp];
  char* const chunks = dynamic + warp * stages * bytes;
  int* const first = reinterpret_cast<int*>(dynamic + kBulkWarps * stages * bytes);
  for (int stage = lane; stage < stages; stage += 32) {
    ptx::mbarrier_init(&ring.arrived[stage], 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  const int total = number_misses<kBulkWarps * 32>(lists, first);
  const int own = blockIdx.x * kBulkWarps + warp, warps = gridDim.x * kBulkWarps;
  const int mine = (total - own + warps - 1) / warps;

  int in = 0, out = 0;  // stages
  uint32_t parity = 0;  // whether `out` went round the ring an odd number of times
  const auto fetch = [&](int i) {
    if (i >= mine) return;
    if (i % 32 == 0) {  // the lanes look 32 of them up together
      __syncwarp();
      if (i + lane < mine) ring.looked_up[lane] = copy_of(lists, first, (i + lane) * warps + own);
      __syncwarp();
    }
    if (lane == 0) {
      const Copy& copy = ring.looked_up[i % 32];
      uint64_t* const arrived = &ring.arrived[in];
      ring.targets[in] = copy.target;
      ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, arrived,
                                     bytes);
      ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, chunks + in * bytes, copy.source,
                         bytes, arrived);
    }
    if (++in == stages) in = 0;
  };
  for (int i = 0; i < stages; ++i) fetch(i);
  for (int i = 0; i < mine; ++i) {
    if (lane == 0) {
      while (!ptx::mbarrier_try_wait_parity(&ring.arrived[out], parity)) {
      }
      ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, ring.targets[out],
                         chunks + out * bytes, bytes);
      ptx::cp_async_bulk_commit_group();
      // The stage can take another chunk as soon as this one has left it.
      ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
    }
    if (++out == stages) {
      out = 0;
      parity ^= 1;
    }
    fetch(i + stages);
  }
  if (lane == 0) ptx::cp_async_bulk_wait_group(ptx::n32_t<0>());
#endif
}

constexpr int kLoadBlocks = 8;
constexpr int kLoadThreads = 512;

/// The warps take the misses in turn.
__global__ void __launch_bounds__(kLoadThreads) gather_by_loads(Lists lists) {
  extern __shared__ int first[];
  const int total = number_misses<kLoadThreads>(lists, first);
  const int lane = threadIdx.x % 32, warps = gridDim.x * kLoadThreads / 32;
  for (int miss = (blockIdx.x * kLoadThreads + threadIdx.x) / 32; miss < total; miss += warps) {
    const Copy copy = copy_of(lists, first, miss);
    for (int base = lane * 16; base < lists.chunk_bytes; base += 4 * 32 * 16) {
      uint4 held[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int offset = base + i * 32 * 16;
        if (offset < lists.chunk_bytes) {
          held[i] = __ldcs(reinterpret_cast<const uint4*>(copy.source + offset));
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int offset = base + i * 32 * 16;
        if (offset < lists.chunk_bytes) *reinterpret_cast<uint4*>(copy.target + offset) = held[i];
      }
    }
  }
}

Lists lists_of(const DecodeShape& shape, const HeadView* heads, const Selection& selection) {
  return {heads, selection, shape.batch * shape.num_kv_heads, shape.max_selected,
          shape.chunk_size * shape.head_dim * static_cast<int>(sizeof(Element))};
}

size_t first_bytes(const Lists& lists) { return (lists.count + 1) * sizeof(int); }

}  // namespace

void gather_values_in_bulk(const DecodeShape& shape, const HeadView* heads,
                           const Selection& selection, cudaStream_t stream) {
  const Lists lists = lists_of(shape, heads, selection);
  const int stages = std::clamp(kRingBytes / lists.chunk_bytes, 1, kMostStages);
  const size_t bytes =
      static_cast<size_t>(kBulkWarps) * stages * lists.chunk_bytes + first_bytes(lists);
  static size_t raised = 0;
  if (bytes > raised) {
    CUDA_CHECK(cudaFuncSetAttribute(gather_in_bulk, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)));
    raised = bytes;
  }
  gather_in_bulk<<<kBulkBlocks, kBulkWarps * 32, bytes, stream>>>(lists, stages);
  CUDA_CHECK(cudaGetLastError());
}

void gather_values_by_loads(const DecodeShape& shape, const HeadView* heads,
                            const Selection& selection, cudaStream_t stream) {
  const Lists lists = lists_of(shape, heads, selection);
  gather_by_loads<<<kLoadBlocks, kLoadThreads, first_bytes(lists), stream>>>(lists);
  CUDA_CHECK(cudaGetLastError());
}

void gather_values(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                   cudaStream_t stream) {
  const bool in_bulk = launches_early();
  (in_bulk ? gather_values_in_bulk : gather_values_by_loads)(shape, heads, selection, stream);
}

}  // namespace gnomon::cuda
