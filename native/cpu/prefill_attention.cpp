// Causal attention with an online softmax over tiles of keys (FlashAttention). Queries lie across
// the vector: a tile computes S^T = K Q^T and O^T += V^T P^T for kTileWidth queries, so keys and
// values are read in place and the softmax has no reduction inside a vector. Heads of a group
// share a KV head; they are simply further queries of its tile.

#include "cpu/prefill_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/memory_block.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/prefill_attention.cpp"
#include "engine/simd_targets.h"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Compiled for the target that foreach_target has chosen.
#include "cpu/exp2-inl.h"
#include "cpu/tile_product-inl.h"

#ifndef GNOMON_CPU_PREFILL_TILE_
#define GNOMON_CPU_PREFILL_TILE_
namespace gnomon::cpu {

// Keys of a tile. Tiles begin at multiples of it, whatever the call.
constexpr int64_t kTileKeys = 96;

/// What one thread needs for a tile, queries along the columns.
struct PrefillScratch {
  float* query;   // (head_dim, kTileWidth), scaled by log2(e) / sqrt(head_dim)
  float* scores;  // (kTileKeys, kTileWidth), then probabilities
  float* sum;     // (head_dim, kTileWidth), of values

  static int64_t size(int64_t head_dim) { return (2 * head_dim + kTileKeys) * kTileWidth; }
  PrefillScratch(float* base, int64_t head_dim)
      : query(base), scores(base + head_dim * kTileWidth), sum(scores + kTileKeys * kTileWidth) {}
};

/// Queries [begin, begin + count) of one KV head. Query i is head i % group of token i / group.
struct PrefillTile {
  const float* query;  // (rows, query_stride), first head of the group
  float* out;          // like query
  const float* key;    // (prompt, key_stride), this KV head
  const float* value;  // like key
  int64_t query_stride;
  int64_t key_stride;
  int64_t head_dim;
  int64_t group;
  int64_t first;  // position of row 0 of query
  int64_t begin;
  int64_t count;  // at most kTileWidth

  int64_t position(int64_t i) const { return first + (begin + i) / group; }
  int64_t offset(int64_t i) const {
    return (begin + i) / group * query_stride + (begin + i) % group * head_dim;
  }
};

}  // namespace gnomon::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {
namespace {

constexpr int kSoftmaxVectors = kTileVectors < 4 ? kTileVectors : 4;

/// Running softmax of the tile's queries.
struct SoftmaxState {
  alignas(64) float max[kTileWidth];
  alignas(64) float sum[kTileWidth];
};

void load_query(const PrefillTile& tile, const PrefillScratch& scratch) {
  const float scale = kLog2E / std::sqrt(static_cast<float>(tile.head_dim));
  std::fill_n(scratch.query, tile.head_dim * kTileWidth, 0.0f);
  for (int64_t i = 0; i < tile.count; ++i) {
    const float* head = tile.query + tile.offset(i);
    for (int64_t k = 0; k < tile.head_dim; ++k) scratch.query[k * kTileWidth + i] = head[k] * scale;
  }
}

void mask_future(const PrefillTile& tile, int64_t first_key, int64_t keys, float* scores) {
  for (int64_t i = 0; i < tile.count; ++i) {
    for (int64_t j = std::max<int64_t>(tile.position(i) + 1 - first_key, 0); j < keys; ++j) {
      scores[j * kTileWidth + i] = -std::numeric_limits<float>::infinity();
    }
  }
}

/// Turns scores (keys, kTileWidth) into 2^(score - max) and rescales what was summed under an
/// earlier maximum, for kSoftmaxVectors vectors of queries.
HWY_INLINE void update_softmax(int64_t keys, int64_t head_dim, float* HWY_RESTRICT scores,
                               float* HWY_RESTRICT running_max, float* HWY_RESTRICT running_sum,
                               float* HWY_RESTRICT values) {
  const FloatTag d;
  using V = hn::Vec<FloatTag>;
  V max[kSoftmaxVectors], sum[kSoftmaxVectors], factor[kSoftmaxVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kSoftmaxVectors; ++v) max[v] = hn::Load(d, running_max + v * kLanes);
  for (int64_t j = 0; j < keys; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < kSoftmaxVectors; ++v) {
      max[v] = hn::Max(max[v], hn::Load(d, scores + j * kTileWidth + v * kLanes));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kSoftmaxVectors; ++v) {
    factor[v] = exp2(d, hn::Sub(hn::Load(d, running_max + v * kLanes), max[v]));
    sum[v] = hn::Mul(hn::Load(d, running_sum + v * kLanes), factor[v]);
    hn::Store(max[v], d, running_max + v * kLanes);
  }
  for (int64_t j = 0; j < keys; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < kSoftmaxVectors; ++v) {
      float* score = scores + j * kTileWidth + v * kLanes;
      const V probability = exp2(d, hn::Sub(hn::Load(d, score), max[v]));
      sum[v] = hn::Add(sum[v], probability);
      hn::Store(probability, d, score);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kSoftmaxVectors; ++v) hn::Store(sum[v], d, running_sum + v * kLanes);
  for (int64_t k = 0; k < head_dim; ++k) {
#pragma GCC unroll 4
    for (int v = 0; v < kSoftmaxVectors; ++v) {
      float* value = values + k * kTileWidth + v * kLanes;
      hn::Store(hn::Mul(hn::Load(d, value), factor[v]), d, value);
    }
  }
}

void store_out(const PrefillTile& tile, const PrefillScratch& scratch, const float* softmax_sum) {
  for (int64_t i = 0; i < tile.count; ++i) {
    float* head = tile.out + tile.offset(i);
    const float inverse = 1.0f / softmax_sum[i];
    for (int64_t k = 0; k < tile.head_dim; ++k) head[k] = scratch.sum[k * kTileWidth + i] * inverse;
  }
}

/// Rows that the next product will read: far apart in memory, so the hardware does not foresee
/// them.
struct NextRows {
  const float* data;
  int64_t rows;
  int64_t stride;
  int64_t cols;

  void prefetch(int64_t begin, int64_t end) const {
    constexpr int64_t kLineFloats = 16;
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = 0; k < cols; k += kLineFloats) hwy::Prefetch(data + i * stride + k);
    }
  }
};

/// tile_product of (rows, depth), fetching `next` little by little.
void product_before(const NextRows& next, Strided a, int64_t rows, const float* b, int64_t depth,
                    bool accumulate, int64_t cols, float* c) {
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const int64_t end = std::min(i + kTileRows, rows);
    next.prefetch(next.rows * i / rows, next.rows * end / rows);
    tile_product(a, end - i, b, depth, accumulate, cols, c + i * kTileWidth);
    a.data += kTileRows * a.row_stride;
  }
}

void attend_tile(const PrefillTile& tile, const PrefillScratch& scratch) {
  SoftmaxState softmax;
  std::fill_n(softmax.max, kTileWidth, -std::numeric_limits<float>::infinity());
  std::fill_n(softmax.sum, kTileWidth, 0.0f);
  std::fill_n(scratch.sum, tile.head_dim * kTileWidth, 0.0f);
  load_query(tile, scratch);
  const int64_t stride = tile.key_stride, head_dim = tile.head_dim;
  const int64_t visible = tile.position(tile.count - 1) + 1;
  for (int64_t first_key = 0; first_key < visible; first_key += kTileKeys) {
    const int64_t keys = std::min(kTileKeys, visible - first_key);
    const int64_t next_keys = std::min(kTileKeys, visible - first_key - keys);
    const float* key = tile.key + first_key * stride;
    const float* value = tile.value + first_key * stride;
    product_before({value, keys, stride, head_dim}, {key, stride, 1}, keys, scratch.query, head_dim,
                   false, tile.count, scratch.scores);
    if (first_key + keys > tile.position(0) + 1) mask_future(tile, first_key, keys, scratch.scores);
    for (int64_t i = 0; i < tile.count; i += kSoftmaxVectors * kLanes) {
      update_softmax(keys, head_dim, scratch.scores + i, softmax.max + i, softmax.sum + i,
                     scratch.sum + i);
    }
    product_before({key + keys * stride, next_keys, stride, head_dim}, {value, 1, stride}, head_dim,
                   scratch.scores, keys, true, tile.count, scratch.sum);
  }
  store_out(tile, scratch, softmax.sum);
}

}  // namespace
}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(attend_tile);

void prefill_attention(Context& context, Matrix query, int64_t first, Matrix key, Matrix value,
                       Matrix out) {
  const auto attend = HWY_DYNAMIC_DISPATCH(attend_tile);
  const ModelConfig& c = context.config;
  const int64_t head_dim = c.head_dim, group = c.query_group();
  const int64_t queries = query.rows * group;  // of one KV head
  const int64_t tiles = (queries + kTileWidth - 1) / kTileWidth;
  const int64_t scratch_size = PrefillScratch::size(head_dim);
  const MemoryBlock scratch(context.pool.size() * scratch_size * sizeof(float));
  context.pool.parallel_for(tiles * c.num_kv_heads, [&](int64_t task, int64_t worker) {
    // Late tiles see the most keys: they go first, so that no thread is left alone with one.
    const int64_t tile = tiles - 1 - task / c.num_kv_heads, kv_head = task % c.num_kv_heads;
    const int64_t begin = tile * kTileWidth;
    const int64_t query_head = kv_head * group * head_dim;
    attend({.query = floats(query) + query_head,
            .out = floats(out) + query_head,
            .key = floats(key) + kv_head * head_dim,
            .value = floats(value) + kv_head * head_dim,
            .query_stride = query.cols,
            .key_stride = key.cols,
            .head_dim = head_dim,
            .group = group,
            .first = first,
            .begin = begin,
            .count = std::min(kTileWidth, queries - begin)},
           PrefillScratch(scratch.floats() + worker * scratch_size, head_dim));
  });
}

}  // namespace gnomon::cpu
#endif
