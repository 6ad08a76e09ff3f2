// The basis of a KV head stays in shared memory; every warp gathers 16 missed tokens at a time
// from the factor and multiplies on the tensor cores. The two halves that RoPE pairs end up in one
// lane, so the rotation happens in registers.

#include <algorithm>
#include <string>

#include "cuda/check.h"
#include "cuda/mma.h"
#include "cuda/reconstruct_keys.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 8;

__host__ __device__ int padded_rank(int rank) { return (rank + 15) / 16 * 16; }

template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32)
    reconstruct(const HeadView* heads, Selection selection, RopeTables rope, int max_selected,
                int chunk_size, int rank) {
  constexpr int kPitch = kHeadDim + 8;
  extern __shared__ __align__(16) __nv_bfloat16 basis[];  // (padded_rank, kPitch)
  const int index = blockIdx.y;
  const int misses = selection.miss_counts[index];
  const int tokens = misses * chunk_size;
  if (static_cast<int>(blockIdx.x) * kWarps * 16 >= tokens) return;
  const HeadView head = heads[index];
  const int steps = padded_rank(rank) / 16;
  for (int i = threadIdx.x; i < steps * 16 * kHeadDim / 8; i += kWarps * 32) {
    const int row = i / (kHeadDim / 8), column = i % (kHeadDim / 8) * 8;
    *reinterpret_cast<uint4*>(basis + row * kPitch + column) =
        row < rank ? *reinterpret_cast<const uint4*>(head.basis + row * kHeadDim + column)
                   : uint4{};
  }
  __syncthreads();

  const int32_t* chunks = selection.miss_chunks + static_cast<int64_t>(index) * max_selected;
  const int32_t* slots = selection.miss_slots + static_cast<int64_t>(index) * max_selected;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int first = (blockIdx.x * kWarps + warp) * 16; first < tokens;
       first += gridDim.x * kWarps * 16) {
    // Rows lane/4 and lane/4 + 8 of this tile.
    int position[2];
    __nv_bfloat16* target[2];
    const __nv_bfloat16* factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int token = first + lane / 4 + half * 8;
      const int miss = min(token, tokens - 1) / chunk_size, offset = token % chunk_size;
      position[half] = chunks[miss] * chunk_size + offset;
      target[half] = token < tokens
                         ? head.slot_keys +
                               (static_cast<int64_t>(slots[miss]) * chunk_size + offset) * kHeadDim
                         : nullptr;
      factor[half] = head.factor + static_cast<int64_t>(position[half]) * rank;
    }
    float sums[kHeadDim / 8][4] = {};
    for (int step = 0; step < steps; ++step) {
      uint32_t rows[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int column = step * 16 + lane % 4 * 2 + r / 2 * 8;
        rows[r] = column < rank ? *reinterpret_cast<const uint32_t*>(factor[r % 2] + column) : 0u;
      }
#pragma unroll
      for (int n = 0; n < kHeadDim / 16; ++n) {
        uint32_t columns[4];
        ldmatrix_x4_transposed(columns,
                               basis + (step * 16 + lane % 16) * kPitch + n * 16 + lane / 16 * 8);
        mma_16x8x16(sums[2 * n], rows, columns[0], columns[1]);
        mma_16x8x16(sums[2 * n + 1], rows, columns[2], columns[3]);
      }
    }
#pragma unroll
    for (int n = 0; n < kHeadDim / 16; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (target[half] == nullptr) continue;
        const int column = n * 8 + lane % 4 * 2;
        float low[2], high[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float2 angle = rope.at(head.first_position + position[half], column + i);
          const float a = sums[n][half * 2 + i], b = sums[n + kHeadDim / 16][half * 2 + i];
          low[i] = a * angle.x - b * angle.y;
          high[i] = b * angle.x + a * angle.y;
        }
        *reinterpret_cast<uint32_t*>(target[half] + column) = pack_bf16(low[0], low[1]);
        *reinterpret_cast<uint32_t*>(target[half] + column + kHeadDim / 2) =
            pack_bf16(high[0], high[1]);
      }
    }
  }
}

template <int kHeadDim>
void launch(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
            const RopeTables& rope, cudaStream_t stream) {
  const size_t bytes = padded_rank(shape.rank) * (kHeadDim + 8) * sizeof(__nv_bfloat16);
  static size_t raised = 0;
  if (bytes > raised) {
    CUDA_CHECK(cudaFuncSetAttribute(reconstruct<kHeadDim>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)));
    raised = bytes;
  }
  // Enough blocks that half of the selection can be missed without a second round.
  const int tokens = shape.max_selected * shape.chunk_size;
  const int blocks = std::max(1, tokens / 2 / (kWarps * 16));
  reconstruct<kHeadDim>
      <<<dim3(blocks, shape.batch * shape.num_kv_heads), kWarps * 32, bytes, stream>>>(
          heads, selection, rope, shape.max_selected, shape.chunk_size, shape.rank);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void reconstruct_keys(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                      const RopeTables& rope, cudaStream_t stream) {
  switch (shape.head_dim) {
    case 64:
      return launch<64>(shape, heads, selection, rope, stream);
    case 96:
      return launch<96>(shape, heads, selection, rope, stream);
    case 128:
      return launch<128>(shape, heads, selection, rope, stream);
  }
  throw EngineError("invalid_model", "the CUDA backend takes head_dim 64, 96 or 128, not " +
                                         std::to_string(shape.head_dim));
}

}  // namespace gnomon::cuda
