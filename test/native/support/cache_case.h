#pragma once
// Random sequences that look like attention's: neighbouring keys resemble each other, so landmarks
// mean something, and queries drift, so selections repeat.

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/decode_attention.h"
#include "cpu/sequence_cache.h"
#include "cpu/summarise.h"
#include "test/native/support/reference.h"

namespace gnomon::test {

struct CacheCase {
  int64_t head_dim = 64, num_kv_heads = 2, query_group = 2, num_layers = 1;
  int64_t prompt_tokens = 300, max_new_tokens = 8;
  CacheOptions options{.kind = CacheKind::shadowkv,
                       .rank = 24,
                       .chunk_size = 8,
                       .sparse_budget = 64,
                       .outlier_chunks = 4,
                       .local_window = 16};

  ModelConfig config() const {
    ModelConfig config;
    config.num_layers = num_layers;
    config.num_kv_heads = num_kv_heads;
    config.num_heads = num_kv_heads * query_group;
    config.head_dim = head_dim;
    return config;
  }
  CacheGeometry geometry() const {
    check_cache_options(options, config().key_width());
    return resolve_geometry(options, prompt_tokens, max_new_tokens);
  }
};

class RandomSequence {
 public:
  RandomSequence(const ModelConfig& config, int64_t prompt_tokens, uint64_t seed)
      : config_(config), random_(seed) {
    const int64_t width = config.key_width();
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      PromptTensors tensors;
      std::vector<float> key = normals(width);
      for (int64_t token = 0; token < prompt_tokens; ++token) {
        drift(key, 0.4f);
        tensors.key_pre_rope.insert(tensors.key_pre_rope.end(), key.begin(), key.end());
        const std::vector<float> rotated = rotate_heads(key, token);
        tensors.key.insert(tensors.key.end(), rotated.begin(), rotated.end());
      }
      tensors.value = normals(prompt_tokens * width);
      prompt_.push_back(std::move(tensors));
      query_.push_back(normals(config.query_width()));
    }
  }

  PromptTensors& prompt(int64_t layer) { return prompt_[layer]; }

  /// (query_width); each one like the last of the layer.
  const std::vector<float>& next_query(int64_t layer) {
    drift(query_[layer], 0.3f);
    return query_[layer];
  }
  std::vector<float> normals(int64_t count) {
    std::vector<float> out(count);
    for (float& x : out) x = normal_(random_);
    return out;
  }

 private:
  void drift(std::vector<float>& x, float amount) {
    for (float& value : x) {
      value = std::sqrt(1 - amount * amount) * value + amount * normal_(random_);
    }
  }
  std::vector<float> rotate_heads(const std::vector<float>& key, int64_t position) const {
    Doubles rotated(key.begin(), key.end());
    for (int64_t g = 0; g < config_.num_kv_heads; ++g) {
      rotate_head(config_, position, rotated.data() + g * config_.head_dim);
    }
    return {rotated.begin(), rotated.end()};
  }

  ModelConfig config_;
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
  std::vector<PromptTensors> prompt_;      // (num_layers)
  std::vector<std::vector<float>> query_;  // (num_layers)
};

inline Matrix as_matrix(std::vector<float>& values, int64_t cols) {
  return {values.data(), static_cast<int64_t>(values.size()) / cols, cols};
}

/// The CPU side of a test: what a backend would hold.
struct CpuSide {
  explicit CpuSide(const ModelConfig& config, int64_t threads = 2)
      : config(config), pool(threads), rope(config), context{this->config, pool, rope} {}

  std::unique_ptr<cpu::CpuCache> summarise(const CacheGeometry& geometry,
                                           RandomSequence& sequence) {
    auto cache = std::make_unique<cpu::CpuCache>(config, geometry);
    const int64_t width = config.key_width();
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      PromptTensors& prompt = sequence.prompt(layer);
      cpu::summarise(context, layer, as_matrix(prompt.key_pre_rope, width),
                     as_matrix(prompt.key, width), as_matrix(prompt.value, width), *cache);
    }
    return cache;
  }

  /// Rows of query, key and value belong to caches; returns out (n, query_width).
  std::vector<float> decode(int64_t layer, std::vector<float> query, std::vector<float> key,
                            std::vector<float> value, std::vector<SequenceCache*> caches) {
    std::vector<float> out(query.size());
    cpu::decode_attention(context, layer, as_matrix(query, config.query_width()),
                          as_matrix(key, config.key_width()), as_matrix(value, config.key_width()),
                          caches, as_matrix(out, config.query_width()));
    return out;
  }

  ModelConfig config;
  ThreadPool pool;
  cpu::RopeTable rope;
  cpu::Context context;
};

}  // namespace gnomon::test
