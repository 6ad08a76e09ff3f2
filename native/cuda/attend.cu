// Flash decoding: blocks of four warps take 1,024 tokens of one KV head each, 64 tokens at a time
// through a ring of shared-memory tiles; the query heads of a group are the rows of the products
// (padded to 16), so that every key and value is read once. A second kernel joins the parts.

#include <cuda_pipeline.h>

#include <algorithm>
#include <string>

#include "cuda/attend.h"
#include "cuda/check.h"
#include "cuda/mma.h"

namespace gnomon::cuda {

namespace {

constexpr int kTileTokens = 64;
constexpr int kSplitTokens = 1024;  // fixed, so that the batch does not change the sums
constexpr int kWarps = 4;
constexpr int kStages = 3;
constexpr int kMaxGroup = 16;

template <int kHeadDim>
struct Tile {
  // A padded row keeps ldmatrix free of bank conflicts.
  static constexpr int kPitch = kHeadDim + 8;
  static constexpr int kElements = kTileTokens * kPitch;
  static constexpr size_t kBytes = 2 * kStages * kElements * sizeof(__nv_bfloat16);
};

/// The rows of one KV head of one sequence, in the order they are attended to.
struct Rows {
  const __nv_bfloat16* exact_keys;
  const __nv_bfloat16* exact_values;
  const __nv_bfloat16* chunk_keys;
  const __nv_bfloat16* chunk_values;
  const int32_t* slots;
  const int32_t* slot_chunk;  // null: values lie in slots too
  int64_t exact_stride;
  int32_t exact_tokens;
  int32_t tokens;
  int32_t chunk_size;

  __device__ Rows(const AttendSources& sources, int sequence, int index, int chunk_size,
                  int max_selected)
      : exact_stride(sources.exact_stride), chunk_size(chunk_size) {
    const HeadView& head = sources.heads[index];
    exact_keys = head.exact_keys;
    exact_values = head.exact_values;
    chunk_keys = head.slot_keys;
    chunk_values = head.slot_values != nullptr ? head.slot_values : head.values;
    slot_chunk = head.slot_values != nullptr ? nullptr : head.slot_chunk;
    exact_tokens =
        head.exact_tokens + (sources.extra_tokens != nullptr ? sources.extra_tokens[sequence] : 0);
    slots = sources.slots + static_cast<int64_t>(index) * max_selected;
    tokens = exact_tokens + (sources.slots != nullptr ? head.num_selected * chunk_size : 0);
  }

  /// Addresses of key and value of one token.
  template <int kHeadDim>
  __device__ void at(int token, const __nv_bfloat16*& key, const __nv_bfloat16*& value) const {
    if (token < exact_tokens) {
      key = exact_keys + token * exact_stride;
      value = exact_values + token * exact_stride;
      return;
    }
    const int chunk = (token - exact_tokens) / chunk_size;
    const int row = (token - exact_tokens) % chunk_size;
    const int64_t slot = slots[chunk];
    const int64_t value_chunk = slot_chunk != nullptr ? slot_chunk[slot] : slot;
    key = chunk_keys + (slot * chunk_size + row) * kHeadDim;
    value = chunk_values + (value_chunk * chunk_size + row) * kHeadDim;
  }
};

/// Starts the copy of one tile of keys and values; rows past `end` become zeros.
template <int kHeadDim>
__device__ void load_tile(const Rows& rows, int first, int end, __nv_bfloat16* keys,
                          __nv_bfloat16* values) {
  constexpr int kPieces = kHeadDim / 8;  // of 16 bytes
  for (int i = threadIdx.x; i < kTileTokens * kPieces; i += kWarps * 32) {
    const int row = i / kPieces, piece = i % kPieces * 8;
    __nv_bfloat16* key = keys + row * Tile<kHeadDim>::kPitch + piece;
    __nv_bfloat16* value = values + row * Tile<kHeadDim>::kPitch + piece;
    if (first + row < end) {
      const __nv_bfloat16 *key_row, *value_row;
      rows.at<kHeadDim>(first + row, key_row, value_row);
      __pipeline_memcpy_async(key, key_row + piece, 16);
      __pipeline_memcpy_async(value, value_row + piece, 16);
    } else {
      *reinterpret_cast<uint4*>(key) = {};
      *reinterpret_cast<uint4*>(value) = {};
    }
  }
}

/// Partial results of one split: unnormalised sums, then running maximum and denominator.
/// parts (batch, num_kv_heads, splits, group, head_dim + 2) fp32.
template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32)
    attend_split(AttendSources sources, const __nv_bfloat16* query, float* parts, int num_kv_heads,
                 int group, int chunk_size, int max_selected) {
  using T = Tile<kHeadDim>;
  extern __shared__ __align__(16) __nv_bfloat16 shared[];
  __nv_bfloat16* const key_tiles = shared;
  __nv_bfloat16* const value_tiles = shared + kStages * T::kElements;

  const int split = blockIdx.x, kv_head = blockIdx.y, sequence = blockIdx.z;
  const Rows rows(sources, sequence, sequence * num_kv_heads + kv_head, chunk_size, max_selected);
  const int begin = split * kSplitTokens, end = min(rows.tokens, begin + kSplitTokens);
  if (begin >= end) return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  // Query fragments, scaled so that exp2 can be used: rows are the group's heads, zero-padded.
  const float scale = 1.4426950408889634f * rsqrtf(static_cast<float>(kHeadDim));
  const __nv_bfloat16* group_query =
      query + (static_cast<int64_t>(sequence) * num_kv_heads + kv_head) * group * kHeadDim;
  uint32_t query_fragment[kHeadDim / 16][4];
#pragma unroll
  for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int head = lane / 4 + (r % 2) * 8;
      const int column = k * 16 + lane % 4 * 2 + (r / 2) * 8;
      query_fragment[k][r] =
          head < group ? *reinterpret_cast<const uint32_t*>(group_query + head * kHeadDim + column)
                       : 0u;
    }
  }

  float sums[kHeadDim / 8][4] = {};
  float maximum[2] = {-INFINITY, -INFINITY}, denominator[2] = {};

  const int tiles = (end - begin + kTileTokens - 1) / kTileTokens;
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < tiles) {
      load_tile<kHeadDim>(rows, begin + stage * kTileTokens, end, key_tiles + stage * T::kElements,
                          value_tiles + stage * T::kElements);
    }
    __pipeline_commit();
  }
  for (int tile = 0; tile < tiles; ++tile) {
    __pipeline_wait_prior(kStages - 2);
    __syncthreads();
    const int ahead = tile + kStages - 1;
    if (ahead < tiles) {
      load_tile<kHeadDim>(rows, begin + ahead * kTileTokens, end,
                          key_tiles + ahead % kStages * T::kElements,
                          value_tiles + ahead % kStages * T::kElements);
    }
    __pipeline_commit();

    // This warp's 16 tokens.
    const __nv_bfloat16* keys = key_tiles + tile % kStages * T::kElements + warp * 16 * T::kPitch;
    const __nv_bfloat16* values =
        value_tiles + tile % kStages * T::kElements + warp * 16 * T::kPitch;
    float scores[2][4] = {};  // (16 heads, 16 tokens): two blocks of eight tokens
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      uint32_t key_fragment[4];
      ldmatrix_x4(key_fragment,
                  keys + (lane % 8 + lane / 16 * 8) * T::kPitch + k * 16 + lane / 8 % 2 * 8);
      mma_16x8x16(scores[0], query_fragment[k], key_fragment[0], key_fragment[1]);
      mma_16x8x16(scores[1], query_fragment[k], key_fragment[2], key_fragment[3]);
    }

    const int first_token = begin + tile * kTileTokens + warp * 16;
    float tile_maximum[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int block = 0; block < 2; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = first_token + block * 8 + lane % 4 * 2 + i % 2;
        scores[block][i] = token < end ? scores[block][i] * scale : -INFINITY;
        tile_maximum[i / 2] = fmaxf(tile_maximum[i / 2], scores[block][i]);
      }
    }
    float rescale[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      tile_maximum[half] = fmaxf(tile_maximum[half], __shfl_xor_sync(~0u, tile_maximum[half], 1));
      tile_maximum[half] = fmaxf(tile_maximum[half], __shfl_xor_sync(~0u, tile_maximum[half], 2));
      const float updated = fmaxf(maximum[half], tile_maximum[half]);
      // A warp may have seen no token at all yet.
      rescale[half] = updated == -INFINITY ? 1.f : exp2f(maximum[half] - updated);
      maximum[half] = updated;
      denominator[half] *= rescale[half];
    }
#pragma unroll
    for (int block = 0; block < 2; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[block][i] =
            scores[block][i] == -INFINITY ? 0.f : exp2f(scores[block][i] - maximum[i / 2]);
        denominator[i / 2] += scores[block][i];
      }
    }
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[n][i] *= rescale[i / 2];
    }
    const uint32_t weights[4] = {
        pack_bf16(scores[0][0], scores[0][1]), pack_bf16(scores[0][2], scores[0][3]),
        pack_bf16(scores[1][0], scores[1][1]), pack_bf16(scores[1][2], scores[1][3])};
#pragma unroll
    for (int n = 0; n < kHeadDim / 16; ++n) {
      uint32_t value_fragment[4];
      ldmatrix_x4_transposed(value_fragment,
                             values + (lane % 16) * T::kPitch + n * 16 + lane / 16 * 8);
      mma_16x8x16(sums[2 * n], weights, value_fragment[0], value_fragment[1]);
      mma_16x8x16(sums[2 * n + 1], weights, value_fragment[2], value_fragment[3]);
    }
  }
  __pipeline_wait_prior(0);
  __syncthreads();

  // Join the four warps through shared memory, which the tiles no longer need.
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    denominator[half] += __shfl_xor_sync(~0u, denominator[half], 1);
    denominator[half] += __shfl_xor_sync(~0u, denominator[half], 2);
  }
  float* const warp_sums = reinterpret_cast<float*>(shared);  // (warps, 16, head_dim)
  float* const warp_maximum = warp_sums + kWarps * kMaxGroup * kHeadDim;
  float* const warp_denominator = warp_maximum + kWarps * kMaxGroup;
#pragma unroll
  for (int n = 0; n < kHeadDim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int head = lane / 4 + i / 2 * 8, column = n * 8 + lane % 4 * 2 + i % 2;
      warp_sums[(warp * kMaxGroup + head) * kHeadDim + column] = sums[n][i];
    }
  }
  if (lane % 4 == 0) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      warp_maximum[warp * kMaxGroup + lane / 4 + half * 8] = maximum[half];
      warp_denominator[warp * kMaxGroup + lane / 4 + half * 8] = denominator[half];
    }
  }
  __syncthreads();
  const int64_t part =
      (static_cast<int64_t>(sequence) * num_kv_heads + kv_head) * gridDim.x + split;
  float* const out = parts + part * group * (kHeadDim + 2);
  for (int i = threadIdx.x; i < group * kHeadDim; i += kWarps * 32) {
    const int head = i / kHeadDim, column = i % kHeadDim;
    float top = -INFINITY, sum = 0, total = 0;
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, warp_maximum[w * kMaxGroup + head]);
    for (int w = 0; w < kWarps; ++w) {
      const float weight = exp2f(warp_maximum[w * kMaxGroup + head] - top);
      sum += weight * warp_sums[(w * kMaxGroup + head) * kHeadDim + column];
      total += weight * warp_denominator[w * kMaxGroup + head];
    }
    out[head * (kHeadDim + 2) + column] = sum;
    if (column == 0) {
      out[head * (kHeadDim + 2) + kHeadDim] = top;
      out[head * (kHeadDim + 2) + kHeadDim + 1] = total;
    }
  }
}

/// One block per (KV head and query head of its group, sequence); head_dim threads.
__global__ void join_splits(AttendSources sources, const float* parts, __nv_bfloat16* out,
                            int num_kv_heads, int group, int chunk_size, int max_selected,
                            int splits) {
  const int head = blockIdx.x, sequence = blockIdx.y, head_dim = blockDim.x;
  const int kv_head = head / group;
  const Rows rows(sources, sequence, sequence * num_kv_heads + kv_head, chunk_size, max_selected);
  const int used = (rows.tokens + kSplitTokens - 1) / kSplitTokens;
  const int stride = group * (head_dim + 2);
  const float* part = parts +
                      (static_cast<int64_t>(sequence) * num_kv_heads + kv_head) * splits * stride +
                      head % group * (head_dim + 2);
  float top = -INFINITY, sum = 0, total = 0;
  for (int i = 0; i < used; ++i) top = fmaxf(top, part[i * stride + head_dim]);
  for (int i = 0; i < used; ++i) {
    const float weight = exp2f(part[i * stride + head_dim] - top);
    sum += weight * part[i * stride + threadIdx.x];
    total += weight * part[i * stride + head_dim + 1];
  }
  out[(static_cast<int64_t>(sequence) * gridDim.x + head) * head_dim + threadIdx.x] =
      __float2bfloat16(sum / total);
}

int splits_of(const DecodeShape& shape) {
  return (shape.max_tokens + kSplitTokens - 1) / kSplitTokens;
}

template <int kHeadDim>
void launch(const DecodeShape& shape, const AttendSources& sources, const __nv_bfloat16* query,
            __nv_bfloat16* out, float* parts, cudaStream_t stream) {
  const int group = shape.num_heads / shape.num_kv_heads, splits = splits_of(shape);
  constexpr size_t kJoinBytes = kWarps * kMaxGroup * (kHeadDim + 2) * sizeof(float);
  constexpr size_t kBytes = std::max(Tile<kHeadDim>::kBytes, kJoinBytes);
  static const cudaError_t raised = cudaFuncSetAttribute(
      attend_split<kHeadDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CUDA_CHECK(raised);
  attend_split<kHeadDim>
      <<<dim3(splits, shape.num_kv_heads, shape.batch), kWarps * 32, kBytes, stream>>>(
          sources, query, parts, shape.num_kv_heads, group, shape.chunk_size, shape.max_selected);
  CUDA_CHECK(cudaGetLastError());
  join_splits<<<dim3(shape.num_heads, shape.batch), kHeadDim, 0, stream>>>(
      sources, parts, out, shape.num_kv_heads, group, shape.chunk_size, shape.max_selected, splits);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

size_t attend_scratch_bytes(const DecodeShape& shape) {
  return static_cast<size_t>(shape.batch) * shape.num_heads * splits_of(shape) *
         (shape.head_dim + 2) * sizeof(float);
}

void attend(const DecodeShape& shape, const AttendSources& sources, const __nv_bfloat16* query,
            __nv_bfloat16* out, void* scratch, cudaStream_t stream) {
  float* parts = static_cast<float*>(scratch);
  if (shape.num_heads / shape.num_kv_heads > kMaxGroup) {
    throw EngineError("invalid_model", "the CUDA backend takes at most 16 query heads a KV head");
  }
  switch (shape.head_dim) {
    case 64:
      return launch<64>(shape, sources, query, out, parts, stream);
    case 96:
      return launch<96>(shape, sources, query, out, parts, stream);
    case 128:
      return launch<128>(shape, sources, query, out, parts, stream);
  }
  throw EngineError("invalid_model", "the CUDA backend takes head_dim 64, 96 or 128, not " +
                                         std::to_string(shape.head_dim));
}

}  // namespace gnomon::cuda
