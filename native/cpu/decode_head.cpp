#include "cpu/decode_head.h"

#include <algorithm>
#include <cmath>

#include "cpu/head_rows.h"
#include "cpu/score_chunks.h"
#include "cpu/select_chunks.h"

namespace gnomon::cpu {

namespace {

constexpr int64_t kScoreBlocks = 256;        // per part, of 16 landmarks
constexpr int64_t kReconstructTokens = 256;  // per part
constexpr int64_t kAttendTokens = 1024;      // per part

int64_t parts(int64_t count, int64_t per_part) { return (count + per_part - 1) / per_part; }

int64_t landmark_blocks(const CpuCache& cache) {
  return parts(cache.num_candidates(), kLandmarkBlock);
}

int64_t misses_per_part(const CacheGeometry& geometry) {
  return std::max<int64_t>(1, kReconstructTokens / geometry.chunk_size);
}

}  // namespace

DecodeHead::DecodeHead(Context& context, CpuCache& cache, int64_t layer, int64_t kv_head,
                       const float* query, float* out)
    : context_(&context),
      cache_(&cache),
      layer_(layer),
      kv_head_(kv_head),
      group_(context.config.query_group()),
      out_(out),
      query_(group_ * cache.head_stride()) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(cache.head_dim()));
  for (int64_t h = 0; h < group_; ++h) {
    for (int64_t i = 0; i < cache.head_dim(); ++i) {
      query_[h * cache.head_stride() + i] = query[h * cache.head_dim() + i] * scale;
    }
  }
  if (!cache.geometry().dense) {
    logits_.resize(group_ * landmark_blocks(cache) * kLandmarkBlock);
    selected_.resize(cache.geometry().num_selected_chunks);
  }
}

int64_t DecodeHead::score_parts() const {
  return cache_->geometry().dense ? 0 : parts(landmark_blocks(*cache_), kScoreBlocks);
}

void DecodeHead::score(int64_t part) {
  const int64_t blocks = landmark_blocks(*cache_);
  const int64_t first = part * kScoreBlocks;
  landmark_logits(
      {query_.data(), group_, cache_->head_stride(), cache_->sparse(layer_, kv_head_).landmarks,
       cache_->head_dim(), logits_.data(), blocks * kLandmarkBlock},
      first, std::min(first + kScoreBlocks, blocks));
}

void DecodeHead::select() {
  const CacheGeometry& g = cache_->geometry();
  const int64_t stride = cache_->head_stride();
  const int64_t generated = cache_->generated_tokens(layer_);
  if (g.dense) {
    const DenseHead& head = cache_->dense(layer_, kv_head_);
    add_run(head.keys, head.values, g.prompt_tokens + generated);
    divide_runs();
    return;
  }
  select_slots();
  const SparseHead& head = cache_->sparse(layer_, kv_head_);
  const int64_t chunk = g.chunk_size * stride;
  for (int64_t i = 0; i < g.num_outlier_chunks; ++i) {
    add_run(head.outlier_keys + i * chunk, head.values + head.outliers[i] * chunk, g.chunk_size);
  }
  for (int64_t i = 0; i < g.num_selected_chunks; ++i) {
    add_run(head.slot_keys + slots_[i] * chunk, head.values + head.candidates[selected_[i]] * chunk,
            g.chunk_size);
  }
  add_run(head.local_keys, head.values + g.context_tokens() * stride, g.local_tokens());
  add_run(head.generated_keys, head.generated_values, generated);
  divide_runs();
}

void DecodeHead::select_slots() {
  SparseHead& head = cache_->sparse(layer_, kv_head_);
  rank_scores(logits_.data(), group_, cache_->num_candidates(),
              landmark_blocks(*cache_) * kLandmarkBlock, logits_.data());
  select_chunks(logits_.data(), cache_->num_candidates(), static_cast<int64_t>(selected_.size()),
                selected_.data());
  for (const int32_t candidate : selected_) slots_.push_back(head.slots.touch(candidate));
  for (size_t i = 0; i < selected_.size(); ++i) {
    if (slots_[i] >= 0) continue;
    slots_[i] = head.slots.assign(selected_[i]);
    misses_.push_back({head.candidates[selected_[i]], slots_[i]});
  }
}

int64_t DecodeHead::reconstruct_parts() const {
  if (misses_.empty()) return 0;
  return parts(static_cast<int64_t>(misses_.size()), misses_per_part(cache_->geometry()));
}

void DecodeHead::reconstruct(int64_t part) {
  const CacheGeometry& g = cache_->geometry();
  const SparseHead& head = cache_->sparse(layer_, kv_head_);
  const size_t first = part * misses_per_part(g);
  const size_t count = std::min<size_t>(misses_per_part(g), misses_.size() - first);
  reconstruct_keys({cache_->factor(layer_), head.basis, g.rank, cache_->head_stride(), g.chunk_size,
                    g.first_position},
                   std::span(misses_).subspan(first, count), context_->rope, head.slot_keys);
}

void DecodeHead::add_run(const float* keys, const float* values, int64_t tokens) {
  for (int64_t first = 0; first < tokens; first += kAttendTokens) {
    const int64_t offset = first * cache_->head_stride();
    runs_.push_back({keys + offset, values + offset, std::min(kAttendTokens, tokens - first)});
  }
}

void DecodeHead::divide_runs() {
  int64_t tokens = kAttendTokens;
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (tokens >= kAttendTokens) {
      first_run_.push_back(i);
      tokens = 0;
    }
    tokens += runs_[i].tokens;
  }
  first_run_.push_back(runs_.size());
  partials_.resize(attend_parts() * group_ * (cache_->head_stride() + 2));
}

PartialAttention DecodeHead::partial(int64_t part) {
  float* memory = partials_.data() + part * group_ * (cache_->head_stride() + 2);
  float* largest = memory + group_ * cache_->head_stride();
  return {memory, largest, largest + group_};
}

void DecodeHead::attend(int64_t part) {
  const size_t first = first_run_[part];
  cpu::attend(query_.data(), group_, cache_->head_stride(),
              std::span(runs_).subspan(first, first_run_[part + 1] - first), partial(part));
}

void DecodeHead::merge() {
  std::vector<PartialAttention> all;
  for (int64_t part = 0; part < attend_parts(); ++part) all.push_back(partial(part));
  merge_attention(all, group_, cache_->head_stride(), cache_->head_dim(), out_);
}

}  // namespace gnomon::cpu
