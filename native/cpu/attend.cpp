// Flash decoding on vectors: tiles of 16 tokens, each tile's softmax rescaling the sums before it.
#include "cpu/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/attend.cpp"
// foreach_target.h must come before everything of Highway.
// clang-format off
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Lanes = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Lanes>;

constexpr int64_t kTileTokens = 16;
constexpr int64_t kPrefetchTokens = 32;
constexpr int64_t kShortRun = 64;   // tokens
constexpr int64_t kCacheLine = 16;  // floats
constexpr int kToL2 = 2;            // of __builtin_prefetch
constexpr int kScoreTokens = 4;     // scored together: their keys share the loads of the query
constexpr int kHeads = 2;           // of the group, handled together
constexpr int kValueVectors = 4;    // of the values, summed together

/// Rows of the tokens of one tile; the last is repeated up to a multiple of kScoreTokens.
struct Tile {
  const float* keys[kTileTokens];
  const float* values[kTileTokens];
  int64_t tokens;
};

/// A place in a list of runs.
struct Cursor {
  std::span<const Run> runs;
  size_t run = 0;
  int64_t token = 0;  // of the run

  bool at_end() const { return run == runs.size(); }
  int64_t tokens_left() const { return runs[run].tokens - token; }  // of the run
  int64_t advance(int64_t tokens) {
    token += tokens;
    if (token == runs[run].tokens) {
      ++run;
      token = 0;
    }
    return tokens;
  }
};

/// Short runs lie anywhere in memory and end before the processor sees a pattern, so their rows are
/// asked for ahead of use. Long runs it prefetches better by itself.
HWY_ATTR void prefetch_tokens(Cursor& cursor, int64_t head_stride, int64_t tokens) {
  while (tokens > 0 && !cursor.at_end()) {
    const Run& run = cursor.runs[cursor.run];
    const int64_t count = std::min(tokens, cursor.tokens_left());
    if (run.tokens <= kShortRun) {
      const int64_t first = cursor.token * head_stride;
      for (int64_t i = first; i < first + count * head_stride; i += kCacheLine) {
        __builtin_prefetch(run.keys + i, 0, kToL2);
        __builtin_prefetch(run.values + i, 0, kToL2);
      }
    }
    tokens -= cursor.advance(count);
  }
}

HWY_ATTR bool next_tile(Cursor& cursor, int64_t head_stride, Tile& tile) {
  tile.tokens = 0;
  while (tile.tokens < kTileTokens && !cursor.at_end()) {
    const Run& run = cursor.runs[cursor.run];
    const int64_t count = std::min(kTileTokens - tile.tokens, cursor.tokens_left());
    for (int64_t i = 0; i < count; ++i) {
      const int64_t offset = (cursor.token + i) * head_stride;
      tile.keys[tile.tokens + i] = run.keys + offset;
      tile.values[tile.tokens + i] = run.values + offset;
    }
    tile.tokens += cursor.advance(count);
  }
  for (int64_t i = tile.tokens; i > 0 && i % kScoreTokens != 0; ++i) {
    tile.keys[i] = tile.keys[tile.tokens - 1];
  }
  return tile.tokens > 0;
}

/// weights[h] (16) = logits of the tile's tokens, -infinity behind the last.
template <int kCount>
HWY_ATTR void score_tile(const float* query, int64_t head_stride, const Tile& tile,
                         float (*weights)[kTileTokens]) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t token = 0; token < tile.tokens; token += kScoreTokens) {
    Vector sum[kCount][kScoreTokens];
    for (int h = 0; h < kCount; ++h) {
      for (int t = 0; t < kScoreTokens; ++t) sum[h][t] = hn::Zero(d);
    }
    for (int64_t i = 0; i < head_stride; i += lanes) {
      Vector key[kScoreTokens];
      for (int t = 0; t < kScoreTokens; ++t) key[t] = hn::LoadU(d, tile.keys[token + t] + i);
      for (int h = 0; h < kCount; ++h) {
        const Vector q = hn::LoadU(d, query + h * head_stride + i);
        for (int t = 0; t < kScoreTokens; ++t) sum[h][t] = hn::MulAdd(q, key[t], sum[h][t]);
      }
    }
    for (int h = 0; h < kCount; ++h) {
      for (int t = 0; t < kScoreTokens; ++t) {
        weights[h][token + t] = hn::GetLane(hn::SumOfLanes(d, sum[h][t]));
      }
    }
  }
  for (int h = 0; h < kCount; ++h) {
    for (int64_t i = tile.tokens; i < kTileTokens; ++i) {
      weights[h][i] = -std::numeric_limits<float>::infinity();
    }
  }
}

/// Turns logits into weights relative to the largest so far. Returns what the sums before this
/// tile must be scaled by.
HWY_ATTR float soften(float* weights, float& largest, float& total) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  Vector tile_largest = hn::LoadU(d, weights);
  for (int64_t i = lanes; i < kTileTokens; i += lanes) {
    tile_largest = hn::Max(tile_largest, hn::LoadU(d, weights + i));
  }
  const float before = largest;
  largest = std::max(before, hn::GetLane(hn::MaxOfLanes(d, tile_largest)));
  const Vector shift = hn::Set(d, largest);
  Vector sum = hn::Zero(d);
  for (int64_t i = 0; i < kTileTokens; i += lanes) {
    const Vector weight = hn::Exp(d, hn::Sub(hn::LoadU(d, weights + i), shift));
    hn::StoreU(weight, d, weights + i);
    sum = hn::Add(sum, weight);
  }
  const float rescale = before == largest ? 1.0f : std::exp(before - largest);
  total = total * rescale + hn::GetLane(hn::SumOfLanes(d, sum));
  return rescale;
}

/// weighted[h] columns [column, column + kVectors vectors) of kCount heads.
template <int kCount, int kVectors>
HWY_ATTR void sum_values(const Tile& tile, const float (*weights)[kTileTokens],
                         const float* rescale, int64_t head_stride, int64_t column,
                         float* weighted) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  Vector sum[kCount][kVectors];
  for (int h = 0; h < kCount; ++h) {
    for (int v = 0; v < kVectors; ++v) {
      sum[h][v] = hn::Mul(hn::Set(d, rescale[h]),
                          hn::LoadU(d, weighted + h * head_stride + column + v * lanes));
    }
  }
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const float* value = tile.values[token] + column;
    Vector weight[kCount];
    for (int h = 0; h < kCount; ++h) weight[h] = hn::Set(d, weights[h][token]);
    for (int v = 0; v < kVectors; ++v) {
      const Vector value_part = hn::LoadU(d, value + v * lanes);
      for (int h = 0; h < kCount; ++h) sum[h][v] = hn::MulAdd(weight[h], value_part, sum[h][v]);
    }
  }
  for (int h = 0; h < kCount; ++h) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[h][v], d, weighted + h * head_stride + column + v * lanes);
    }
  }
}

template <int kCount>
HWY_ATTR void attend_tile(const float* query, int64_t head_stride, const Tile& tile, int64_t head,
                          const PartialAttention& result) {
  HWY_ALIGN float weights[kCount][kTileTokens];
  float rescale[kCount];
  score_tile<kCount>(query + head * head_stride, head_stride, tile, weights);
  for (int h = 0; h < kCount; ++h) {
    rescale[h] = soften(weights[h], result.largest[head + h], result.total[head + h]);
  }
  const int64_t lanes = hn::Lanes(Lanes());
  float* weighted = result.weighted + head * head_stride;
  int64_t column = 0;
  for (; column + kValueVectors * lanes <= head_stride; column += kValueVectors * lanes) {
    sum_values<kCount, kValueVectors>(tile, weights, rescale, head_stride, column, weighted);
  }
  for (; column < head_stride; column += lanes) {
    sum_values<kCount, 1>(tile, weights, rescale, head_stride, column, weighted);
  }
}

HWY_ATTR void attend(const float* query, int64_t group, int64_t head_stride,
                     std::span<const Run> runs, const PartialAttention& result) {
  std::fill_n(result.weighted, group * head_stride, 0.0f);
  std::fill_n(result.largest, group, -std::numeric_limits<float>::infinity());
  std::fill_n(result.total, group, 0.0f);
  Cursor cursor{runs}, ahead{runs};
  prefetch_tokens(ahead, head_stride, kPrefetchTokens);
  Tile tile;
  while (next_tile(cursor, head_stride, tile)) {
    prefetch_tokens(ahead, head_stride, kTileTokens);
    int64_t head = 0;
    for (; head + kHeads <= group; head += kHeads) {
      attend_tile<kHeads>(query, head_stride, tile, head, result);
    }
    for (; head < group; ++head) attend_tile<1>(query, head_stride, tile, head, result);
  }
}

}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(attend);

void attend(const float* query, int64_t group, int64_t head_stride, std::span<const Run> runs,
            const PartialAttention& result) {
  HWY_DYNAMIC_DISPATCH(attend)(query, group, head_stride, runs, result);
}

void merge_attention(std::span<const PartialAttention> parts, int64_t group, int64_t head_stride,
                     int64_t head_dim, float* out) {
  const PartialAttention& merged = parts[0];
  for (int64_t h = 0; h < group; ++h) {
    float* sum = merged.weighted + h * head_stride;
    for (const PartialAttention& part : parts.subspan(1)) {
      const float largest = std::max(merged.largest[h], part.largest[h]);
      const float before = std::exp(merged.largest[h] - largest);
      const float now = std::exp(part.largest[h] - largest);
      const float* weighted = part.weighted + h * head_stride;
      for (int64_t i = 0; i < head_dim; ++i) sum[i] = sum[i] * before + weighted[i] * now;
      merged.total[h] = merged.total[h] * before + part.total[h] * now;
      merged.largest[h] = largest;
    }
    const float scale = 1.0f / merged.total[h];
    for (int64_t i = 0; i < head_dim; ++i) out[h * head_dim + i] = sum[i] * scale;
  }
}

}  // namespace gnomon::cpu
#endif
