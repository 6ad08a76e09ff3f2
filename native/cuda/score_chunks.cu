// One warp takes 32 landmarks at a time straight from global memory as the rows of the tensor
// product; the query heads of the group, times the steps of the landmarks' levels and the scale of
// logits, are its columns. Landmarks are read once, with the columns of a row permuted alike in
// both operands so that a lane loads sixteen contiguous levels, and those of the next turn take the
// registers of this one's as soon as they are multiplied.

#include <cmath>
#include <numbers>
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

/// Eight columns of a query row, each times its step and `scale`.
__device__ Pairs4 scaled(const Element* row, const float* steps, float scale) {
  Floats8 values = load8(row);
#pragma unroll
  for (int i = 0; i < 8; ++i) values.at[i] *= steps[i] * scale;
  Pairs4 pairs;
  store8(reinterpret_cast<Element*>(&pairs), values);
  return pairs;
}

/// What a lane holds of kWarpChunks landmarks: its columns of every eighth one.
template <int kHeadDim>
struct Levels {
  static constexpr int kPairs = kHeadDim / 32;
  uint2 at[kEights][kPairs];

  /// Pair `pair`, which is even, of every landmark, and the next if there is one.
  __device__ void load(const HeadView& head, int first, int pair) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int eight = 0; eight < kEights; ++eight) {
      const int chunk = min(first + eight * 8 + lane / 4, head.num_chunks - 1);
      const uint8_t* source =
          head.landmarks + static_cast<int64_t>(chunk) * kHeadDim + column_of<kHeadDim>(pair, lane);
      if (pair + 1 < kPairs) {
        const uint4 both = __ldcs(reinterpret_cast<const uint4*>(source));
        at[eight][pair] = {both.x, both.y};
        at[eight][pair + 1] = {both.z, both.w};
      } else {
        at[eight][pair] = __ldcs(reinterpret_cast<const uint2*>(source));
      }
    }
  }
};

/// Sums of exponentials of two heads, those of a lane's columns, by the largest so far.
struct Softmax {
  float maximum[2] = {-INFINITY, -INFINITY}, total[2] = {};

  __device__ void join(int i, float other_maximum, float other_total) {
    const float top = fmaxf(maximum[i], other_maximum);
    if (top > -INFINITY) {
      total[i] = total[i] * exp2f(maximum[i] - top) + other_total * exp2f(other_maximum - top);
    }
    maximum[i] = top;
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
  Levels<kHeadDim> levels;
#pragma unroll
  for (int p = 0; p < kPairs; p += 2) {
    if (first < end) levels.load(head, first, p);
  }
  after_previous();

  // Query heads l/4 and l/4 + 8: four pairs per pair of k-steps. A dense sequence has neither
  // chunks nor steps.
  Pairs4 columns[kHalves][kPairs];
  const Element* rows = query + static_cast<int64_t>(index) * group * kHeadDim;
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
      const int of_group = lane / 4 + half * 8, column = column_of<kHeadDim>(p, lane);
      columns[half][p] =
          begin < end && of_group < group
              ? scaled(rows + of_group * kHeadDim + column, head.landmark_steps + column, scale)
              : Pairs4{};
    }
  }

  Softmax softmax[kHalves];
  float* const logits = scores.logits + static_cast<int64_t>(index) * group * max_chunks;
  while (first < end) {
    const int ahead = first + kWarps * kWarpChunks;
    const uint32_t outliers = head.outliers[first / 32];
    float sums[kHalves][kEights / 2][4] = {};
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
#pragma unroll
      for (int tile = 0; tile < kEights / 2; ++tile) {
        const uint2 upper = levels.at[2 * tile][p], lower = levels.at[2 * tile + 1][p];
        Pair a0[4], a1[4];
        levels_to_pairs(upper.x, a0[0], a0[2]);
        levels_to_pairs(lower.x, a0[1], a0[3]);
        levels_to_pairs(upper.y, a1[0], a1[2]);
        levels_to_pairs(lower.y, a1[1], a1[3]);
#pragma unroll
        for (int half = 0; half < kHalves; ++half) {
          const Pairs4 b = columns[half][p];
          mma_16x8x16<true>(sums[half][tile], a0, b.x, b.y);
          mma_16x8x16<true>(sums[half][tile], a1, b.z, b.w);
        }
      }
      if ((p % 2 == 1 || p + 1 == kPairs) && ahead < end) levels.load(head, ahead, p / 2 * 2);
    }
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int of_group = half * 8 + lane % 4 * 2 + i;
        float* const row = logits + static_cast<int64_t>(of_group) * max_chunks + first + lane / 4;
        float logit[kEights], top = -INFINITY;
#pragma unroll
        for (int eight = 0; eight < kEights; ++eight) {
          const int chunk = eight * 8 + lane / 4;
          const bool counts = first + chunk < end && !(outliers >> chunk & 1);
          logit[eight] = counts ? sums[half][eight / 2][eight % 2 * 2 + i] : -INFINITY;
          top = fmaxf(top, logit[eight]);
          // Rows have room for whole words of chunks.
          if (of_group < group) row[eight * 8] = logit[eight];
        }
        if (top == -INFINITY) continue;
        top = fmaxf(top, softmax[half].maximum[i]);
        float total = softmax[half].total[i] * exp2f(softmax[half].maximum[i] - top);
#pragma unroll
        for (int eight = 0; eight < kEights; ++eight) total += exp2f(logit[eight] - top);
        softmax[half].maximum[i] = top;
        softmax[half].total[i] = total;
      }
    }
    first = ahead;
  }

  // Join the lanes of a column, then the warps.
  __shared__ float2 joined[kWarps][kMaxGroup];
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int step = 4; step < 32; step *= 2) {
        const float maximum = __shfl_xor_sync(~0u, softmax[half].maximum[i], step);
        const float total = __shfl_xor_sync(~0u, softmax[half].total[i], step);
        softmax[half].join(i, maximum, total);
      }
      if (lane < 4) {
        joined[warp][half * 8 + lane * 2 + i] = {softmax[half].maximum[i], softmax[half].total[i]};
      }
    }
  }
  __syncthreads();
  if (threadIdx.x < group) {
    Softmax sum;
    for (int w = 0; w < kWarps; ++w) {
      const float2 other = joined[w][threadIdx.x];
      sum.join(0, other.x, other.y);
    }
    scores.partial[(static_cast<int64_t>(index) * group + threadIdx.x) * gridDim.x + block] = {
        sum.maximum[0], sum.total[0]};
  }
}

}  // namespace

int score_blocks(const DecodeShape& shape) {
  return (shape.max_chunks + kScoreBlockChunks - 1) / kScoreBlockChunks;
}

void score_chunks(const DecodeShape& shape, const HeadView* heads, const Element* query,
                  const ChunkScores& scores, cudaStream_t stream) {
  const dim3 grid(score_blocks(shape), shape.num_kv_heads, shape.batch);
  const float scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(shape.head_dim));
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
