#include "bench/random_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace gnomon {

namespace {

/// One pool of normal numbers of variance 1, which every tensor takes a scaled piece of.
class Pool {
 public:
  explicit Pool(int64_t elements) : values_(elements) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> sample(1 << 20);
    for (float& value : sample) value = normal(random);
    for (int64_t i = 0; i < elements; ++i) {
      // Another rotation of the sample in every stretch: no two rows are alike.
      values_[i] = sample[(i + i / static_cast<int64_t>(sample.size()) * 7919) % sample.size()];
    }
  }

  /// rows x cols of standard deviation `scale`.
  HostTensor tensor(int64_t rows, int64_t cols, float scale) const {
    std::vector<uint16_t> scaled(rows * cols);
    for (size_t i = 0; i < scaled.size(); ++i) {
      scaled[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(values_[i] * scale) >> 16);
    }
    return owning("random", {rows, cols}, std::move(scaled));
  }

  static HostTensor ones(int64_t count) {
    return owning("ones", {count}, std::vector<uint16_t>(count, 0x3f80));
  }

 private:
  static HostTensor owning(const char* name, std::vector<int64_t> shape,
                           std::vector<uint16_t> bf16) {
    const auto owner = std::make_shared<const std::vector<uint16_t>>(std::move(bf16));
    return {name, DType::bf16, std::move(shape), reinterpret_cast<const std::byte*>(owner->data()),
            owner};
  }

  std::vector<float> values_;
};

}  // namespace

ModelConfig config_of_shape(const std::string& shape) {
  if (shape != "llama-3.1-8b") {
    throw EngineError("invalid_options", "--shape knows llama-3.1-8b, not " + shape);
  }
  ModelConfig config;
  config.vocab_size = 128256;
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.num_layers = 32;
  config.num_heads = 32;
  config.num_kv_heads = 8;
  config.head_dim = 128;
  config.max_position_embeddings = 1 << 20;
  config.rope.theta = 500000;
  return config;
}

ModelWeights random_weights(const ModelConfig& c, Backend& backend) {
  const int64_t qkv = c.query_width() + 2 * c.key_width();
  const Pool pool(std::max({c.vocab_size, qkv, 2 * c.intermediate_size}) * c.hidden_size);
  const auto linear = [&](int64_t outputs, int64_t inputs) {
    const HostTensor tensor =
        pool.tensor(outputs, inputs, 1.0f / std::sqrt(static_cast<float>(inputs)));
    return backend.load_linear({&tensor, 1}, {});
  };
  ModelWeights weights;
  weights.embedding = backend.load_embedding(pool.tensor(c.vocab_size, c.hidden_size, 1.0f));
  weights.final_norm = backend.load_norm(pool.ones(c.hidden_size));
  weights.lm_head = linear(c.vocab_size, c.hidden_size);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    LayerWeights layer;
    layer.input_norm = backend.load_norm(pool.ones(c.hidden_size));
    layer.qkv = linear(qkv, c.hidden_size);
    layer.output = linear(c.hidden_size, c.query_width());
    layer.post_norm = backend.load_norm(pool.ones(c.hidden_size));
    layer.gate_up = linear(2 * c.intermediate_size, c.hidden_size);
    layer.down = linear(c.hidden_size, c.intermediate_size);
    weights.layers.push_back(std::move(layer));
  }
  backend.finish_loading();
  return weights;
}

}  // namespace gnomon
