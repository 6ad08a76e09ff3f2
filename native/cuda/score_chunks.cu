// One warp takes 32 landmarks at a time straight from global memory as the B operand of the tensor
// product; the query heads of the group, times the steps of the landmarks' levels, are its rows.
// Landmarks are read once, with the columns of a row permuted alike in both operands so that a lane
// loads sixteen contiguous levels.

#include <cmath>
#include <string>

#include "cuda/check.h"
#include "cuda/landmarks.h"
#include "cuda/launch.h"
#include "cuda/mma.h"
#include "cuda/score_chunks.h"
#include "cuda/vector.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kMaxGroup = 16;
constexpr int kEights = 4;  // blocks of eight landmarks that a warp takes at a time
constexpr int kWarpChunks = 8 * kEights;
static_assert(kWarpChunks == 32 && kScoreBlockChunks % 32 == 0, "one word of outlier bits a turn");

/// First of the eight columns that a lane owns in a pair of k-steps: the lanes of a quad own 16
/// contiguous columns of every 64, 8 of a last 32. Both operands use it, so the sum is the same.
template <int kHeadDim>
__device__ int column_of(int pair, int lane) {
  return (pair | 1) < kHeadDim / 32 ? pair / 2 * 64 + lane % 4 * 16 + pair % 2 * 8
                                    : pair * 32 + lane % 4 * 8;
}

/// Eight columns of a query row, each times its step.
__device__ Pairs4 scaled(const Element* row, const float* steps) {
  Floats8 values = load8(row);
#pragma unroll
  for (int i = 0; i < 8; ++i) values.at[i] *= steps[i];
  Pairs4 pairs;
  store8(reinterpret_cast<Element*>(&pairs), values);
  return pairs;
}

/// What a lane holds of kWarpChunks landmarks: its columns of every eighth one.
template <int kHeadDim>
struct Levels {
  static constexpr int kPairs = kHeadDim / 32;
  uint2 at[kEights][kPairs];

  __device__ void load(const HeadView& head, int first) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int eight = 0; eight < kEights; ++eight) {
      const int chunk = min(first + eight * 8 + lane / 4, head.num_chunks - 1);
      const uint8_t* row = head.landmarks + static_cast<int64_t>(chunk) * kHeadDim;
#pragma unroll
      for (int pair = 0; pair + 1 < kPairs; pair += 2) {
        const uint4 both =
            __ldcs(reinterpret_cast<const uint4*>(row + column_of<kHeadDim>(pair, lane)));
        at[eight][pair] = {both.x, both.y};
        at[eight][pair + 1] = {both.z, both.w};
      }
      if constexpr (kPairs % 2 == 1) {
        at[eight][kPairs - 1] =
            __ldcs(reinterpret_cast<const uint2*>(row + column_of<kHeadDim>(kPairs - 1, lane)));
      }
    }
  }
};

/// kWide: the group has more than 8 query heads.
template <int kHeadDim, bool kWide>
__global__ void __launch_bounds__(kWarps * 32)
    score(const HeadView* heads, const Element* query, ChunkScores scores, int num_kv_heads,
          int group, int max_chunks, float scale) {
  constexpr int kPairs = kHeadDim / 32, kHalves = kWide ? 2 : 1;
  const int block = blockIdx.x, kv_head = blockIdx.y, sequence = blockIdx.z;
  const int index = sequence * num_kv_heads + kv_head;
  const HeadView head = heads[index];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int begin = block * kScoreBlockChunks,
            end = min(head.num_chunks, begin + kScoreBlockChunks);

  int first = begin + warp * kWarpChunks;
  Levels<kHeadDim> next;
  if (first < end) next.load(head, first);
  after_previous();

  // Query rows l/4 and l/4 + 8: four pairs per pair of k-steps and row. A dense sequence has
  // neither chunks nor steps.
  Pairs4 low[kPairs], high[kPairs];
  const Element* rows = query + static_cast<int64_t>(index) * group * kHeadDim;
#pragma unroll
  for (int p = 0; p < kPairs; ++p) {
    const int row = lane / 4, column = column_of<kHeadDim>(p, lane);
    const float* steps = head.landmark_steps + column;
    low[p] = begin < end && row < group ? scaled(rows + row * kHeadDim + column, steps) : Pairs4{};
    high[p] = begin < end && kWide && row + 8 < group
                  ? scaled(rows + (row + 8) * kHeadDim + column, steps)
                  : Pairs4{};
  }

  float maximum[2] = {-INFINITY, -INFINITY}, total[2] = {};
  float* const logits = scores.logits + static_cast<int64_t>(index) * group * max_chunks;
  while (first < end) {
    const Levels<kHeadDim> levels = next;
    const int ahead = first + kWarps * kWarpChunks;
    if (ahead < end) next.load(head, ahead);
    const uint32_t outliers = head.outliers[first / 32];
    float sums[kEights][4] = {};
#pragma unroll
    for (int i = 0; i < kEights * kPairs; ++i) {
      // The halves of fp32 are made once a pair of k-steps: more than one such pair has no room.
      const int eight = sizeof(Element) == 2 ? i / kPairs : i % kEights;
      const int p = sizeof(Element) == 2 ? i % kPairs : i / kEights;
      const Pair a0[4] = {low[p].x, high[p].x, low[p].y, high[p].y};
      const Pair a1[4] = {low[p].z, high[p].z, low[p].w, high[p].w};
      Pair b[4];
      levels_to_pairs(levels.at[eight][p].x, b[0], b[1]);
      levels_to_pairs(levels.at[eight][p].y, b[2], b[3]);
      mma_16x8x16<true>(sums[eight], a0, b[0], b[1]);
      mma_16x8x16<true>(sums[eight], a1, b[2], b[3]);
    }
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const int row = lane / 4 + half * 8;
      float top = maximum[half];
#pragma unroll
      for (int eight = 0; eight < kEights; ++eight) {
        const int bit = eight * 8 + lane % 4 * 2;  // of a chunk and the next
        float2 logit{sums[eight][half * 2] * scale, sums[eight][half * 2 + 1] * scale};
        if (first + bit >= end || outliers >> bit & 1) logit.x = -INFINITY;
        if (first + bit + 1 >= end || outliers >> bit & 2) logit.y = -INFINITY;
        // Rows have room for whole words of chunks.
        if (row < group) {
          *reinterpret_cast<float2*>(logits + static_cast<int64_t>(row) * max_chunks + first +
                                     bit) = logit;
        }
        sums[eight][half * 2] = logit.x;
        sums[eight][half * 2 + 1] = logit.y;
        top = fmaxf(top, fmaxf(logit.x, logit.y));
      }
      if (top == -INFINITY) continue;
      total[half] *= __expf(maximum[half] - top);
      maximum[half] = top;
#pragma unroll
      for (int eight = 0; eight < kEights; ++eight) {
        total[half] +=
            __expf(sums[eight][half * 2] - top) + __expf(sums[eight][half * 2 + 1] - top);
      }
    }
    first = ahead;
  }

  // Join the quad's lanes, then the warps.
  __shared__ float2 joined[kWarps][kMaxGroup];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      const float other_maximum = __shfl_xor_sync(~0u, maximum[half], step);
      const float other_total = __shfl_xor_sync(~0u, total[half], step);
      const float updated = fmaxf(maximum[half], other_maximum);
      if (updated > -INFINITY) {
        total[half] = total[half] * __expf(maximum[half] - updated) +
                      other_total * __expf(other_maximum - updated);
      }
      maximum[half] = updated;
    }
    if (lane % 4 == 0) joined[warp][lane / 4 + half * 8] = {maximum[half], total[half]};
  }
  __syncthreads();
  if (threadIdx.x < group) {
    float2 sum = joined[0][threadIdx.x];
    for (int w = 1; w < kWarps; ++w) {
      const float2 other = joined[w][threadIdx.x];
      const float updated = fmaxf(sum.x, other.x);
      if (updated > -INFINITY) {
        sum.y = sum.y * __expf(sum.x - updated) + other.y * __expf(other.x - updated);
      }
      sum.x = updated;
    }
    scores.partial[(static_cast<int64_t>(index) * group + threadIdx.x) * gridDim.x + block] = sum;
  }
}

}  // namespace

int score_blocks(const DecodeShape& shape) {
  return (shape.max_chunks + kScoreBlockChunks - 1) / kScoreBlockChunks;
}

void score_chunks(const DecodeShape& shape, const HeadView* heads, const Element* query,
                  const ChunkScores& scores, cudaStream_t stream) {
  const dim3 grid(score_blocks(shape), shape.num_kv_heads, shape.batch);
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  const auto launch = [&](auto kernel) {
    launch_early(kernel, grid, kWarps * 32, 0, stream, heads, query, scores, shape.num_kv_heads,
                 shape.group(), shape.max_chunks, scale);
  };
  const bool wide = shape.group() > 8;
  switch (shape.head_dim) {
    case 64:
      return wide ? launch(score<64, true>) : launch(score<64, false>);
    case 96:
      return wide ? launch(score<96, true>) : launch(score<96, false>);
    case 128:
      return wide ? launch(score<128, true>) : launch(score<128, false>);
  }
  throw EngineError("invalid_model", "the CUDA backend takes head_dim 64, 96 or 128, not " +
                                         std::to_string(shape.head_dim));
}

}  // namespace gnomon::cuda
