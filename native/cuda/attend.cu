// Flash decoding: a block takes a stretch of the tokens of one KV head, 16 tokens a warp at a time
// through a ring of shared-memory tiles; the query heads of a group are the rows of the products
// (padded to 16), so that every key and value is read once. The block that ends last joins the
// parts of its KV head, in their order.

#include <cuda_pipeline.h>

#include <algorithm>
#include <bit>
#include <string>

#include "cuda/attend.h"
#include "cuda/check.h"
#include "cuda/mma.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = sizeof(Element) == 2 ? 4 : 2;  // as many as have room for their tiles
constexpr int kTileTokens = 16 * kWarps;
// A sequence's own length decides how it is split, so that the batch does not change the sums: few
// tokens need many blocks to fill the device, many tokens few joins.
constexpr int kShort = 16384, kShortSplit = 640, kLongSplit = 1024;
constexpr int kStages = 2;  // so that three blocks share a multiprocessor
constexpr int kMaxGroup = 16;

template <int kHeadDim>
struct Tile {
  // A padded row keeps ldmatrix free of bank conflicts.
  static constexpr int kPitch = kHeadDim + 8;
  static constexpr int kElements = kTileTokens * kPitch;
  static constexpr size_t kBytes = 2 * kStages * kElements * sizeof(Element);
};

__host__ __device__ int split_of(int tokens) { return tokens > kShort ? kLongSplit : kShortSplit; }

__host__ __device__ int splits_of(int tokens) {
  return (tokens + split_of(tokens) - 1) / split_of(tokens);
}

/// Tokens are loaded by runs of 8, each of which lies in one place: exact tokens are padded to
/// whole runs, and chunks consist of them.
constexpr int kRun = 8;
constexpr int kMaxRuns = kLongSplit / kRun, kTileRuns = kTileTokens / kRun;

struct Run {
  const Element* keys;
  const Element* values;
};

/// The rows of one KV head of one sequence, in the order they are attended to.
struct Rows {
  const AttendSources& sources;
  const HeadView& head;
  int exact_tokens;
  int padded_tokens;  // exact ones
  int tokens;         // padding included

  __device__ Rows(const AttendSources& sources, int sequence, int index, int chunk_shift)
      : sources(sources), head(sources.heads[index]) {
    exact_tokens =
        head.exact_tokens + (sources.extra_tokens != nullptr ? sources.extra_tokens[sequence] : 0);
    padded_tokens = (exact_tokens + kRun - 1) / kRun * kRun;
    tokens = padded_tokens + (sources.slots != nullptr ? head.num_selected << chunk_shift : 0);
  }

  __device__ bool valid(int token, int end) const {
    return token < exact_tokens || (token >= padded_tokens && token < end);
  }
  __device__ int64_t stride(int token, int head_dim) const {
    return token < padded_tokens ? sources.exact_stride : head_dim;
  }

  /// Where the run from `token` on begins. `slots` are the head's.
  __device__ Run find(int token, const int32_t* slots, int chunk_shift, int head_dim) const {
    if (token < padded_tokens) {
      const int64_t at = token * sources.exact_stride;
      return {head.exact_keys + at, head.exact_values + at};
    }
    const int chunk = (token - padded_tokens) >> chunk_shift;
    const int row = (token - padded_tokens) & ((1 << chunk_shift) - 1);
    const int64_t slot = slots[chunk];
    // Values that are read in place lie by chunk.
    const bool in_slots = head.slot_values != nullptr;
    const Element* values = in_slots ? head.slot_values : head.values;
    const int64_t place = in_slots ? slot : head.slot_chunk[slot];
    return {head.slot_keys + ((slot << chunk_shift) + row) * head_dim,
            values + ((place << chunk_shift) + row) * head_dim};
  }
};

/// Starts the copy of the tile from token `first` on; `runs` begin there. Padding and rows past
/// `end` become zeros.
template <int kHeadDim>
__device__ void load_tile(const Rows& rows, const Run* runs, int first, int end, Element* keys,
                          Element* values) {
  constexpr int kPieces = kHeadDim / kPieceElements;
  for (int i = threadIdx.x; i < kTileTokens * kPieces; i += kWarps * 32) {
    const int row = i / kPieces, piece = i % kPieces * kPieceElements, token = first + row;
    Element* key = keys + row * Tile<kHeadDim>::kPitch + piece;
    Element* value = values + row * Tile<kHeadDim>::kPitch + piece;
    if (rows.valid(token, end)) {
      const Run run = runs[row / kRun];
      const int64_t offset = row % kRun * rows.stride(token, kHeadDim) + piece;
      __pipeline_memcpy_async(key, run.keys + offset, 16);
      __pipeline_memcpy_async(value, run.values + offset, 16);
    } else {
      *reinterpret_cast<uint4*>(key) = {};
      *reinterpret_cast<uint4*>(value) = {};
    }
  }
}

/// Partial results, of all splits of all KV heads.
struct Parts {
  float* sums;    // (batch, num_kv_heads, splits, group, head_dim), not normalised
  float2* stats;  // (batch, num_kv_heads, splits, group): maximum, denominator
  int32_t* done;  // (batch, num_kv_heads): splits that have ended; 0 before and after a launch
};

/// out (group, head_dim) of one KV head from its parts. All threads of a block.
template <int kHeadDim>
__device__ void join(const Parts& parts, int64_t head, int splits, int used, int group,
                     Element* out) {
  __shared__ float2 joined[kMaxGroup];  // maximum, denominator
  const float2* stats = parts.stats + head * splits * group;
  for (int h = threadIdx.x / 32; h < group; h += kWarps) {
    const int lane = threadIdx.x % 32;
    float top = -INFINITY, total = 0;
    for (int i = lane; i < used; i += 32) top = fmaxf(top, __ldcg(&stats[i * group + h]).x);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
    for (int i = lane; i < used; i += 32) {
      const float2 part = __ldcg(&stats[i * group + h]);
      total += part.y * exp2f(part.x - top);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    if (lane == 0) joined[h] = {top, total};
  }
  __syncthreads();
  const float4* sums =
      reinterpret_cast<const float4*>(parts.sums + head * splits * group * kHeadDim);
  for (int i = threadIdx.x; i < group * kHeadDim / 4; i += kWarps * 32) {
    const int h = i / (kHeadDim / 4);
    float4 sum{};
#pragma unroll 4
    for (int s = 0; s < used; ++s) {
      const float weight = exp2f(__ldcg(&stats[s * group + h]).x - joined[h].x);
      const float4 part = __ldcg(&sums[s * group * (kHeadDim / 4) + i]);
      sum.x += weight * part.x;
      sum.y += weight * part.y;
      sum.z += weight * part.z;
      sum.w += weight * part.w;
    }
    const float scale = 1.0f / joined[h].y;
    reinterpret_cast<Pairs2*>(out)[i] = {pair_of(sum.x * scale, sum.y * scale),
                                         pair_of(sum.z * scale, sum.w * scale)};
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32)
    attend_split(AttendSources sources, const Element* query, Parts parts, Element* out,
                 int num_kv_heads, int group, int chunk_shift, int max_selected) {
  using T = Tile<kHeadDim>;
  extern __shared__ __align__(16) Element shared[];
  Element* const key_tiles = shared;
  Element* const value_tiles = shared + kStages * T::kElements;

  const int split = blockIdx.x, kv_head = blockIdx.y, sequence = blockIdx.z;
  const int64_t kv_index = static_cast<int64_t>(sequence) * num_kv_heads + kv_head;
  __shared__ Run runs[kMaxRuns];
  const Rows rows(sources, sequence, kv_index, chunk_shift);
  const int begin = split * split_of(rows.tokens);
  const int end = min(rows.tokens, begin + split_of(rows.tokens));
  if (begin >= end) return;
  const int32_t* slots = sources.slots + kv_index * max_selected;
  for (int i = threadIdx.x; begin + i * kRun < end; i += kWarps * 32) {
    runs[i] = rows.find(begin + i * kRun, slots, chunk_shift, kHeadDim);
  }
  __syncthreads();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  // Query fragments, scaled so that exp2 can be used: rows are the group's heads, zero-padded.
  const float scale = 1.4426950408889634f * rsqrtf(static_cast<float>(kHeadDim));
  const Element* group_query = query + kv_index * group * kHeadDim;
  Pair query_fragment[kHeadDim / 16][4];
#pragma unroll
  for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int head = lane / 4 + (r % 2) * 8;
      const int column = k * 16 + lane % 4 * 2 + (r / 2) * 8;
      query_fragment[k][r] =
          head < group ? *reinterpret_cast<const Pair*>(group_query + head * kHeadDim + column)
                       : Pair{};
    }
  }

  float sums[kHeadDim / 8][4] = {};
  float maximum[2] = {-INFINITY, -INFINITY}, denominator[2] = {};

  const int tiles = (end - begin + kTileTokens - 1) / kTileTokens;
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < tiles) {
      load_tile<kHeadDim>(rows, runs + stage * kTileRuns, begin + stage * kTileTokens, end,
                          key_tiles + stage * T::kElements, value_tiles + stage * T::kElements);
    }
    __pipeline_commit();
  }
  for (int tile = 0; tile < tiles; ++tile) {
    __pipeline_wait_prior(kStages - 2);
    __syncthreads();
    const int ahead = tile + kStages - 1;
    if (ahead < tiles) {
      load_tile<kHeadDim>(rows, runs + ahead * kTileRuns, begin + ahead * kTileTokens, end,
                          key_tiles + ahead % kStages * T::kElements,
                          value_tiles + ahead % kStages * T::kElements);
    }
    __pipeline_commit();

    // This warp's 16 tokens.
    const Element* keys = key_tiles + tile % kStages * T::kElements + warp * 16 * T::kPitch;
    const Element* values = value_tiles + tile % kStages * T::kElements + warp * 16 * T::kPitch;
    float scores[2][4] = {};  // (16 heads, 16 tokens): two blocks of eight tokens
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      Pair key_fragment[4];
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
        scores[block][i] = rows.valid(token, end) ? scores[block][i] * scale : -INFINITY;
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
    const Pair weights[4] = {
        pair_of(scores[0][0], scores[0][1]), pair_of(scores[0][2], scores[0][3]),
        pair_of(scores[1][0], scores[1][1]), pair_of(scores[1][2], scores[1][3])};
#pragma unroll
    for (int n = 0; n < kHeadDim / 16; ++n) {
      Pair value_fragment[4];
      ldmatrix_x4_transposed(value_fragment,
                             values + (lane % 16) * T::kPitch + n * 16 + lane / 16 * 8);
      mma_16x8x16(sums[2 * n], weights, value_fragment[0], value_fragment[1]);
      mma_16x8x16(sums[2 * n + 1], weights, value_fragment[2], value_fragment[3]);
    }
  }
  __pipeline_wait_prior(0);
  __syncthreads();

  // Join the warps through shared memory, which the tiles no longer need.
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
  const int64_t part = (kv_index * gridDim.x + split) * group;
  for (int i = threadIdx.x; i < group * kHeadDim; i += kWarps * 32) {
    const int head = i / kHeadDim, column = i % kHeadDim;
    float top = -INFINITY, sum = 0, total = 0;
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, warp_maximum[w * kMaxGroup + head]);
    for (int w = 0; w < kWarps; ++w) {
      const float weight = exp2f(warp_maximum[w * kMaxGroup + head] - top);
      sum += weight * warp_sums[(w * kMaxGroup + head) * kHeadDim + column];
      total += weight * warp_denominator[w * kMaxGroup + head];
    }
    parts.sums[(part + head) * kHeadDim + column] = sum;
    if (column == 0) parts.stats[part + head] = {top, total};
  }

  __shared__ bool is_last;
  const int used = splits_of(rows.tokens);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const int before = atomicAdd(&parts.done[kv_index], 1);
    is_last = before == used - 1;
    if (is_last) parts.done[kv_index] = 0;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  join<kHeadDim>(parts, kv_index, gridDim.x, used, group, out + kv_index * group * kHeadDim);
}

/// Of the sequence with the most splits, which need not be the longest.
int most_splits(const DecodeShape& shape) {
  const int padded = shape.max_tokens + kRun - 1;
  return std::max(splits_of(std::min(padded, kShort)), splits_of(padded));
}

template <int kHeadDim>
void launch(const DecodeShape& shape, const AttendSources& sources, const Element* query,
            Element* out, const Parts& parts, cudaStream_t stream) {
  constexpr size_t kJoinBytes = kWarps * kMaxGroup * (kHeadDim + 2) * sizeof(float);
  constexpr size_t kBytes = std::max(Tile<kHeadDim>::kBytes, kJoinBytes);
  static const cudaError_t raised = cudaFuncSetAttribute(
      attend_split<kHeadDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CUDA_CHECK(raised);
  attend_split<kHeadDim>
      <<<dim3(most_splits(shape), shape.num_kv_heads, shape.batch), kWarps * 32, kBytes, stream>>>(
          sources, query, parts, out, shape.num_kv_heads, shape.group(),
          std::countr_zero(static_cast<unsigned>(shape.chunk_size)), shape.max_selected);
  CUDA_CHECK(cudaGetLastError());
}

size_t part_count(const DecodeShape& shape) {
  return static_cast<size_t>(shape.batch) * shape.num_heads * most_splits(shape);
}

}  // namespace

size_t attend_scratch_bytes(const DecodeShape& shape) {
  return part_count(shape) * (shape.head_dim * sizeof(float) + sizeof(float2));
}

void attend(const DecodeShape& shape, const AttendSources& sources, const Element* query,
            Element* out, void* scratch, int32_t* done, cudaStream_t stream) {
  auto* sums = static_cast<float*>(scratch);
  auto* stats = reinterpret_cast<float2*>(sums + part_count(shape) * shape.head_dim);
  const Parts parts{sums, stats, done};
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
