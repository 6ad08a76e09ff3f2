#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/backend.h"

namespace gnomon::test {

/// Another backend, and what happens before each of its decode steps.
class WatchedBackend final : public Backend {
 public:
  explicit WatchedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::function<void(const DecodeStep&)> before_step = [](const DecodeStep&) {};

  void decode_step(const DecodeStep& step, int64_t first_part,
                   const std::function<void()>& forward) override {
    before_step(step);
    inner_->decode_step(step, first_part, forward);
  }

  std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                      std::span<const HostTensor> biases) override {
    return inner_->load_linear(weights, biases);
  }
  std::unique_ptr<Weight> load_embedding(const HostTensor& table) override {
    return inner_->load_embedding(table);
  }
  std::unique_ptr<Weight> load_norm(const HostTensor& gain) override {
    return inner_->load_norm(gain);
  }
  void finish_loading() override { inner_->finish_loading(); }
  CacheBytes capacity() const override { return inner_->capacity(); }
  bool unified_memory() const override { return inner_->unified_memory(); }
  int64_t element_bytes() const override { return inner_->element_bytes(); }
  int64_t prefill_rows() const override { return inner_->prefill_rows(); }
  int64_t attention_rows() const override { return inner_->attention_rows(); }
  std::unique_ptr<Buffer> allocate(int64_t rows, int64_t cols) override {
    return inner_->allocate(rows, cols);
  }
  int64_t matrix_bytes(int64_t rows, int64_t cols) const override {
    return inner_->matrix_bytes(rows, cols);
  }
  std::unique_ptr<SequenceCache> make_cache(const CacheGeometry& geometry) override {
    return inner_->make_cache(geometry);
  }
  CacheBytes cache_bytes(const CacheGeometry& geometry) const override {
    return inner_->cache_bytes(geometry);
  }
  void embed(std::span<const uint32_t> tokens, const Weight& table, Matrix out) override {
    inner_->embed(tokens, table, out);
  }
  void rms_norm(Matrix x, const Weight& gain, double eps, Matrix out) override {
    inner_->rms_norm(x, gain, eps, out);
  }
  void linear(Matrix x, const Weight& weight, Matrix out) override {
    inner_->linear(x, weight, out);
  }
  void linear_add(Matrix x, const Weight& weight, Matrix out) override {
    inner_->linear_add(x, weight, out);
  }
  void silu_multiply(Matrix gate_up, Matrix out) override { inner_->silu_multiply(gate_up, out); }
  void norm_heads(Matrix qkv, const Weight& query_gain, const Weight& key_gain,
                  double eps) override {
    inner_->norm_heads(qkv, query_gain, key_gain, eps);
  }
  void split_and_rotate(Matrix qkv, std::span<const int32_t> positions, Matrix query,
                        Matrix key_pre_rope, Matrix key, Matrix value) override {
    inner_->split_and_rotate(qkv, positions, query, key_pre_rope, key, value);
  }
  void prefill_attention(Matrix query, int64_t first, Matrix key, Matrix value,
                         Matrix out) override {
    inner_->prefill_attention(query, first, key, value, out);
  }
  bool attends_in_place() const override { return inner_->attends_in_place(); }
  void summarise(int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
                 SequenceCache& cache) override {
    inner_->summarise(layer, key_pre_rope, key, value, cache);
  }
  void prepare_attention(int64_t layer, Matrix query, Matrix key, Matrix value,
                         std::span<SequenceCache* const> caches) override {
    inner_->prepare_attention(layer, query, key, value, caches);
  }
  void decode_attention(int64_t layer, Matrix query, Matrix key, Matrix value,
                        std::span<SequenceCache* const> caches, Matrix out) override {
    inner_->decode_attention(layer, query, key, value, caches, out);
  }
  void logits(Matrix x, const Weight& lm_head, std::span<float> out) override {
    inner_->logits(x, lm_head, out);
  }
  void greedy_tokens(Matrix x, const Weight& lm_head, std::span<uint32_t> out) override {
    inner_->greedy_tokens(x, lm_head, out);
  }
  std::vector<std::vector<int64_t>> decode_parts(
      std::span<SequenceCache* const> caches) const override {
    return inner_->decode_parts(caches);
  }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace gnomon::test
