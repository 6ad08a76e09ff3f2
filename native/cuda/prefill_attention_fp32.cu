// cuDNN's fused attention takes no fp32: this is flash attention on three TF32 products each. A
// warp has 16 query rows of one head, and takes the keys and values 32 at a time from tiles in
// shared memory that its block shares.

#include <cmath>
#include <string>

#include "cuda/check.h"
#include "cuda/mma.h"
#include "cuda/prefill_attention.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kQueries = 16 * kWarps;
constexpr int kKeys = 32;

/// Matrices of a prompt, whose query row 0 is at position `first`.
struct Prompt {
  const float* query;
  const float* key;
  const float* value;
  float* out;
  int64_t first, rows;
  int num_heads, num_kv_heads;
};

/// Rows [from, from + kKeys) of one head; zeros from `end` on.
template <int kHeadDim>
__device__ void load_tile(const float* source, int64_t stride, int64_t from, int64_t end,
                          float* tile) {
  constexpr int kPitch = kHeadDim + 8, kPieces = kHeadDim / kPieceElements;
  for (int i = threadIdx.x; i < kKeys * kPieces; i += kWarps * 32) {
    const int row = i / kPieces, column = i % kPieces * kPieceElements;
    const int64_t token = from + row;
    *reinterpret_cast<float4*>(tile + row * kPitch + column) =
        token < end ? *reinterpret_cast<const float4*>(source + token * stride + column) : float4{};
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32) attend_prompt(Prompt prompt) {
  constexpr int kPitch = kHeadDim + 8;
  __shared__ __align__(16) float keys[kKeys * kPitch];
  __shared__ __align__(16) float values[kKeys * kPitch];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int head = blockIdx.y, kv_head = head / (prompt.num_heads / prompt.num_kv_heads);
  const int64_t query_stride = static_cast<int64_t>(prompt.num_heads) * kHeadDim;
  const int64_t key_stride = static_cast<int64_t>(prompt.num_kv_heads) * kHeadDim;
  // The last rows, which have the most keys, start first.
  const int64_t block_row = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * kQueries;
  // A lane's rows of the products: this one and the eighth behind it.
  const int64_t row = block_row + warp * 16 + lane / 4;
  const float* query = prompt.query + head * kHeadDim + lane % 4 * 2;

  Pair query_fragment[kHeadDim / 16][4];
#pragma unroll
  for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int64_t at = row + r % 2 * 8;
      query_fragment[k][r] =
          at < prompt.rows
              ? *reinterpret_cast<const Pair*>(query + at * query_stride + k * 16 + r / 2 * 8)
              : Pair{};
    }
  }

  // Scaled so that exp2 can be used.
  const float scale = 1.4426950408889634f * rsqrtf(static_cast<float>(kHeadDim));
  float sums[kHeadDim / 8][4] = {};
  float maximum[2] = {-INFINITY, -INFINITY}, denominator[2] = {};
  const int64_t end = prompt.first + min(prompt.rows, block_row + kQueries);
  for (int64_t from = 0; from < end; from += kKeys) {
    __syncthreads();  // all have done with the tiles before
    load_tile<kHeadDim>(prompt.key + kv_head * kHeadDim, key_stride, from, end, keys);
    load_tile<kHeadDim>(prompt.value + kv_head * kHeadDim, key_stride, from, end, values);
    __syncthreads();

    float scores[kKeys / 8][4] = {};  // (16 queries, kKeys), eight keys a block
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
      for (int pair = 0; pair < kKeys / 16; ++pair) {
        Pair key_fragment[4];
        ldmatrix_x4(key_fragment, keys + (pair * 16 + lane % 8 + lane / 16 * 8) * kPitch + k * 16 +
                                      lane / 8 % 2 * 8);
        mma_16x8x16(scores[2 * pair], query_fragment[k], key_fragment[0], key_fragment[1]);
        mma_16x8x16(scores[2 * pair + 1], query_fragment[k], key_fragment[2], key_fragment[3]);
      }
    }

    float updated[2] = {maximum[0], maximum[1]};
#pragma unroll
    for (int block = 0; block < kKeys / 8; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t token = from + block * 8 + lane % 4 * 2 + i % 2;
        const bool sees = token <= prompt.first + row + i / 2 * 8;
        scores[block][i] = sees ? scores[block][i] * scale : -INFINITY;
        updated[i / 2] = fmaxf(updated[i / 2], scores[block][i]);
      }
    }
    // Every row sees the first key, so that from the first tile on no maximum is infinite.
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      updated[half] = fmaxf(updated[half], __shfl_xor_sync(~0u, updated[half], 1));
      updated[half] = fmaxf(updated[half], __shfl_xor_sync(~0u, updated[half], 2));
      const float rescale = exp2f(maximum[half] - updated[half]);
      maximum[half] = updated[half];
      denominator[half] *= rescale;
#pragma unroll
      for (int n = 0; n < kHeadDim / 8; ++n) {
        sums[n][2 * half] *= rescale;
        sums[n][2 * half + 1] *= rescale;
      }
    }
#pragma unroll
    for (int block = 0; block < kKeys / 8; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[block][i] = exp2f(scores[block][i] - maximum[i / 2]);
        denominator[i / 2] += scores[block][i];
      }
    }
#pragma unroll
    for (int pair = 0; pair < kKeys / 16; ++pair) {
      const float(&low)[4] = scores[2 * pair];
      const float(&high)[4] = scores[2 * pair + 1];
      const Pair weights[4] = {pair_of(low[0], low[1]), pair_of(low[2], low[3]),
                               pair_of(high[0], high[1]), pair_of(high[2], high[3])};
#pragma unroll
      for (int n = 0; n < kHeadDim / 16; ++n) {
        Pair value_fragment[4];
        ldmatrix_x4_transposed(value_fragment,
                               values + (pair * 16 + lane % 16) * kPitch + n * 16 + lane / 16 * 8);
        mma_16x8x16(sums[2 * n], weights, value_fragment[0], value_fragment[1]);
        mma_16x8x16(sums[2 * n + 1], weights, value_fragment[2], value_fragment[3]);
      }
    }
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    denominator[half] += __shfl_xor_sync(~0u, denominator[half], 1);
    denominator[half] += __shfl_xor_sync(~0u, denominator[half], 2);
    const int64_t at = row + half * 8;
    if (at >= prompt.rows) continue;
    float* out = prompt.out + at * query_stride + head * kHeadDim + lane % 4 * 2;
    const float factor = 1.0f / denominator[half];
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      *reinterpret_cast<Pair*>(out + n * 8) =
          pair_of(sums[n][2 * half] * factor, sums[n][2 * half + 1] * factor);
    }
  }
}

}  // namespace

struct PrefillAttention::Impl {
  int64_t num_heads, num_kv_heads, head_dim;
};

PrefillAttention::PrefillAttention(int64_t num_heads, int64_t num_kv_heads, int64_t head_dim)
    : impl_(new Impl{num_heads, num_kv_heads, head_dim}) {}

PrefillAttention::~PrefillAttention() = default;

int64_t PrefillAttention::padded_rows(int64_t rows) { return rows; }

void PrefillAttention::run(const float* query, int64_t first, int64_t rows, const float* key,
                           const float* value, float* out, cudaStream_t stream) {
  const Prompt prompt{query,
                      key,
                      value,
                      out,
                      first,
                      rows,
                      static_cast<int>(impl_->num_heads),
                      static_cast<int>(impl_->num_kv_heads)};
  const dim3 grid(static_cast<unsigned>((rows + kQueries - 1) / kQueries), prompt.num_heads);
  const auto launch = [&](auto kernel) {
    kernel<<<grid, kWarps * 32, 0, stream>>>(prompt);
    CUDA_CHECK(cudaGetLastError());
  };
  switch (impl_->head_dim) {
    case 64:
      return launch(attend_prompt<64>);
    case 96:
      return launch(attend_prompt<96>);
    case 128:
      return launch(attend_prompt<128>);
  }
  throw EngineError("invalid_model", "the CUDA backend takes head_dim 64, 96 or 128, not " +
                                         std::to_string(impl_->head_dim));
}

}  // namespace gnomon::cuda
