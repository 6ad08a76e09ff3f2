// The basis of a KV head stays in shared memory; every warp gathers 16 missed tokens at a time
// from the factor and multiplies on the tensor cores. Columns of the factor are permuted within
// every 32, rows of the basis alike, so that a lane loads eight neighbours. The two halves that
// RoPE pairs end up in one lane, so the rotation happens in registers.

#include <cuda_pipeline.h>

#include <algorithm>
#include <string>

#include "cuda/check.h"
#include "cuda/mma.h"
#include "cuda/reconstruct_keys.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 8;
// Pairs of k-steps that a lane holds at a time; 5 are a rank of 160.
constexpr int kHeldPairs = sizeof(Element) == 2 ? 5 : 2;
// That share a multiprocessor.
constexpr int kBlocks = sizeof(Element) == 2 ? 2 : 1;

/// Pairs of k-steps of 16 columns.
__host__ __device__ int pairs_of(int rank) { return (rank + 31) / 32; }

/// Column of the factor that stands at place p of the products: lane l of a quad owns the eight
/// columns from 8 (l % 4) on of every 32.
__device__ int column_at(int p) {
  const int step = p % 32 / 16, k = p % 16;
  return p / 32 * 32 + k % 8 / 2 * 8 + step * 4 + k / 8 * 2 + k % 2;
}

/// Rotations at the starts of the chunks that the two halves of a tile are from.
template <int kHeadDim>
using Starts = float2[2][kHeadDim / 2];

/// The 16 tokens that a warp rebuilds at a time; a lane sees rows l/4 and l/4 + 8. Each half is
/// from one chunk, whose start's rotation the lanes work out together.
template <int kHeadDim>
struct TokenTile {
  const float2* fine[2];  // rotations by the tokens' offsets in their chunks
  Element* target[2];     // null past the last token
  const Element* factor[2];

  __device__ TokenTile(const HeadView& head, const int32_t* chunks, const int32_t* slots, int first,
                       int tokens, int chunk_bits, int rank, const RopeTables& rope,
                       Starts<kHeadDim>& starts) {
    const int lane = threadIdx.x % 32;
    __syncwarp();  // of the tile before, all is read
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int begin = first + half * 8, miss = min(begin, tokens - 1) >> chunk_bits;
      const int start = chunks[miss] << chunk_bits;
      const int offset = (begin & (1 << chunk_bits) - 1) + lane / 4;
      const int64_t row = (static_cast<int64_t>(slots[miss]) << chunk_bits) + offset;
      target[half] = begin < tokens ? head.slot_keys + row * kHeadDim : nullptr;
      factor[half] = head.factor + static_cast<int64_t>(start + offset) * rank;
      fine[half] = rope.fine_row(head.first_position + start, offset);
      for (int i = lane; i < kHeadDim / 2; i += 32) {
        starts[half][i] = rope.at(head.first_position + start, i);
      }
    }
    __syncwarp();
  }

  /// Columns of pairs [begin, begin + kHeldPairs); 0 past the rank.
  __device__ void load(int begin, int rank, Pairs4 (&held)[2][kHeldPairs]) const {
    const int column = threadIdx.x % 4 * 8;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int p = 0; p < kHeldPairs; ++p) {
        const int at = (begin + p) * 32 + column;
        held[half][p] = at < rank ? *reinterpret_cast<const Pairs4*>(factor[half] + at) : Pairs4{};
      }
    }
  }
};

/// Sixteen columns of the keys from `column` on, and the sixteen that RoPE pairs them with: what a
/// lane adds up at a time, so that many warps fit on a multiprocessor.
struct PairedSums {
  float low[2][4] = {}, high[2][4] = {};
};

/// sums += held columns of the factor times their rows of the basis.
template <int kHeadDim>
__device__ void multiply(const Pairs4 (&held)[2][kHeldPairs], const Element* basis, int begin,
                         int pairs, int column, PairedSums& sums) {
  constexpr int kPitch = kHeadDim + 8;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int p = 0; p < kHeldPairs; ++p) {
    if (begin + p >= pairs) break;
    const Pairs4 upper = held[0][p], lower = held[1][p];
    const Pair rows[2][4] = {{upper.x, lower.x, upper.y, lower.y},
                             {upper.z, lower.z, upper.w, lower.w}};
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const Element* place =
          basis + ((begin + p) * 32 + step * 16 + lane % 16) * kPitch + column + lane / 16 * 8;
      Pair columns[4];
      ldmatrix_x4_transposed(columns, place);
      mma_16x8x16(sums.low[0], rows[step], columns[0], columns[1]);
      mma_16x8x16(sums.low[1], rows[step], columns[2], columns[3]);
      ldmatrix_x4_transposed(columns, place + kHeadDim / 2);
      mma_16x8x16(sums.high[0], rows[step], columns[0], columns[1]);
      mma_16x8x16(sums.high[1], rows[step], columns[2], columns[3]);
    }
  }
}

/// Rotates the columns at the tile's positions and writes them to its slots.
template <int kHeadDim>
__device__ void rotate_and_store(const PairedSums& sums, int column,
                                 const TokenTile<kHeadDim>& tile, const Starts<kHeadDim>& starts) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (tile.target[half] == nullptr) continue;
      const int at = column + n * 8 + threadIdx.x % 4 * 2;
      const float4 start = *reinterpret_cast<const float4*>(&starts[half][at]);
      const float4 fine = *reinterpret_cast<const float4*>(tile.fine[half] + at);
      const float2 angle[2] = {turn({start.x, start.y}, {fine.x, fine.y}),
                               turn({start.z, start.w}, {fine.z, fine.w})};
      float low[2], high[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float a = sums.low[n][half * 2 + i], b = sums.high[n][half * 2 + i];
        low[i] = a * angle[i].x - b * angle[i].y;
        high[i] = b * angle[i].x + a * angle[i].y;
      }
      *reinterpret_cast<Pair*>(tile.target[half] + at) = pair_of(low[0], low[1]);
      *reinterpret_cast<Pair*>(tile.target[half] + at + kHeadDim / 2) = pair_of(high[0], high[1]);
    }
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32, kBlocks)
    reconstruct(const HeadView* heads, Selection selection, RopeTables rope, int max_selected,
                int chunk_bits, int rank) {
  constexpr int kPitch = kHeadDim + 8;
  extern __shared__ __align__(16) Element basis[];  // (32 pairs, kPitch), rows permuted
  __shared__ __align__(16) Starts<kHeadDim> all_starts[kWarps];
  const int index = blockIdx.y;
  const int tokens = selection.miss_counts[index] << chunk_bits;
  if (static_cast<int>(blockIdx.x) * kWarps * 16 >= tokens) return;
  const HeadView head = heads[index];
  const int pairs = pairs_of(rank);
  constexpr int kPieces = kHeadDim / kPieceElements;
  for (int i = threadIdx.x; i < pairs * 32 * kPieces; i += kWarps * 32) {
    const int p = i / kPieces, column = i % kPieces * kPieceElements, row = column_at(p);
    Element* place = basis + p * kPitch + column;
    if (row < rank) {
      __pipeline_memcpy_async(place, head.basis + row * kHeadDim + column, 16);
    } else {
      *reinterpret_cast<uint4*>(place) = {};
    }
  }
  __pipeline_commit();

  const int32_t* chunks = selection.miss_chunks + static_cast<int64_t>(index) * max_selected;
  const int32_t* slots = selection.miss_slots + static_cast<int64_t>(index) * max_selected;
  int first = (blockIdx.x * kWarps + threadIdx.x / 32) * 16;
  // The first rows travel while the basis does.
  Starts<kHeadDim>& starts = all_starts[threadIdx.x / 32];
  TokenTile<kHeadDim> tile(head, chunks, slots, first, tokens, chunk_bits, rank, rope, starts);
  Pairs4 held[2][kHeldPairs];
  tile.load(0, rank, held);
  __pipeline_wait_prior(0);
  __syncthreads();
  while (first < tokens) {
#pragma unroll 1
    for (int column = 0; column < kHeadDim / 2; column += 16) {
      PairedSums sums;
      multiply<kHeadDim>(held, basis, 0, pairs, column, sums);
      for (int begin = kHeldPairs; begin < pairs; begin += kHeldPairs) {
        Pairs4 more[2][kHeldPairs];
        tile.load(begin, rank, more);
        multiply<kHeadDim>(more, basis, begin, pairs, column, sums);
      }
      rotate_and_store<kHeadDim>(sums, column, tile, starts);
    }
    first += gridDim.x * kWarps * 16;
    if (first >= tokens) break;
    tile = TokenTile<kHeadDim>(head, chunks, slots, first, tokens, chunk_bits, rank, rope, starts);
    tile.load(0, rank, held);
  }
}

/// Shared memory that the basis of a pair of k-steps takes.
size_t pair_bytes(int64_t head_dim) { return 32 * (head_dim + 8) * sizeof(Element); }

template <int kHeadDim>
void launch(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
            const RopeTables& rope, cudaStream_t stream) {
  const size_t bytes = pairs_of(shape.rank) * pair_bytes(kHeadDim);
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
          heads, selection, rope, shape.max_selected, shape.chunk_size == 16 ? 4 : 3, shape.rank);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

int64_t most_rank(int64_t head_dim) {
  int device = 0, most = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  const int64_t starts = kWarps * head_dim * static_cast<int64_t>(sizeof(float2));
  return (most - starts) / static_cast<int64_t>(pair_bytes(head_dim)) * 32;
}

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
