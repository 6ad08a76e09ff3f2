#pragma once
// A Llama model of random weights, small enough for a double-precision forward pass.

#include <bit>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/model.h"

namespace gnomon::test {

using Doubles = std::vector<double>;

class TinyModel {
 public:
  explicit TinyModel(ModelConfig config, uint64_t seed = 1) : config_(std::move(config)) {
    std::mt19937_64 random(seed);
    const auto make = [&](std::vector<int64_t> shape, float scale, float mean = 0) {
      std::normal_distribution<float> normal(mean, scale);
      int64_t count = 1;
      for (const int64_t extent : shape) count *= extent;
      Tensor tensor{std::move(shape), std::vector<float>(count)};
      for (float& value : tensor.values) value = bf16_rounded(normal(random));
      return tensor;
    };
    const int64_t hidden = config_.hidden_size, ffn = config_.intermediate_size;
    const int64_t query = config_.query_width(), key = config_.key_width();
    const auto spread = [](int64_t inputs) { return 1.0f / std::sqrt(static_cast<float>(inputs)); };
    embedding = make({config_.vocab_size, hidden}, 1.0f);
    final_norm = make({hidden}, 0.1f, 1.0f);
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      layers.push_back({make({hidden}, 0.1f, 1.0f), make({query, hidden}, 2 * spread(hidden)),
                        make({key, hidden}, 2 * spread(hidden)),
                        make({key, hidden}, spread(hidden)), make({hidden, query}, spread(query)),
                        make({hidden}, 0.1f, 1.0f), make({ffn, hidden}, spread(hidden)),
                        make({ffn, hidden}, spread(hidden)), make({hidden, ffn}, spread(ffn))});
    }
  }

  const ModelConfig& config() const { return config_; }

  ModelWeights load(Backend& backend) const {
    ModelWeights weights;
    weights.embedding = backend.load_embedding(host(embedding));
    weights.final_norm = backend.load_norm(host(final_norm));
    weights.lm_head = linear(backend, {&embedding});
    for (const Layer& layer : layers) {
      LayerWeights out;
      out.input_norm = backend.load_norm(host(layer.input_norm));
      out.qkv = linear(backend, {&layer.query, &layer.key, &layer.value});
      out.output = linear(backend, {&layer.output});
      out.post_norm = backend.load_norm(host(layer.post_norm));
      out.gate_up = linear(backend, {&layer.gate, &layer.up});
      out.down = linear(backend, {&layer.down});
      weights.layers.push_back(std::move(out));
    }
    backend.finish_loading();
    return weights;
  }

  /// Logits (vocab_size) after the last of `tokens`, by plain loops in double precision.
  Doubles reference_logits(const std::vector<uint32_t>& tokens) const {
    const int64_t n = static_cast<int64_t>(tokens.size()), hidden = config_.hidden_size;
    std::vector<Doubles> x(n);
    for (int64_t i = 0; i < n; ++i) {
      const float* row = embedding.values.data() + tokens[i] * hidden;
      x[i].assign(row, row + hidden);
    }
    for (const Layer& layer : layers) attend_and_feed(layer, x);
    return multiply(embedding, norm(x.back(), final_norm));
  }

 private:
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  struct Layer {
    Tensor input_norm, query, key, value, output, post_norm, gate, up, down;
  };

  /// Weights that every backend holds exactly.
  static float bf16_rounded(float value) {
    return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x8000u) & 0xffff0000u);
  }

  static HostTensor host(const Tensor& tensor) {
    return {"tensor", DType::f32, tensor.shape,
            reinterpret_cast<const std::byte*>(tensor.values.data())};
  }

  static std::unique_ptr<Weight> linear(Backend& backend, std::vector<const Tensor*> parts) {
    std::vector<HostTensor> tensors;
    for (const Tensor* part : parts) tensors.push_back(host(*part));
    return backend.load_linear(tensors, {});
  }

  static Doubles multiply(const Tensor& weight, const Doubles& x) {
    Doubles out(weight.shape[0], 0.0);
    for (int64_t r = 0; r < weight.shape[0]; ++r) {
      for (int64_t c = 0; c < weight.shape[1]; ++c) {
        out[r] += weight.values[r * weight.shape[1] + c] * x[c];
      }
    }
    return out;
  }

  Doubles norm(const Doubles& x, const Tensor& gain) const {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double scale = 1 / std::sqrt(squares / x.size() + config_.rms_norm_eps);
    Doubles out(x.size());
    for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * gain.values[i];
    return out;
  }

  void rotate(Doubles& heads, int64_t position) const {
    const std::vector<float> frequency = inverse_frequencies(config_.rope, config_.head_dim);
    const int64_t half = config_.head_dim / 2;
    for (size_t head = 0; head < heads.size(); head += config_.head_dim) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = position * static_cast<double>(frequency[i]);
        const double a = heads[head + i], b = heads[head + half + i];
        heads[head + i] = a * std::cos(angle) - b * std::sin(angle);
        heads[head + half + i] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }

  void attend_and_feed(const Layer& layer, std::vector<Doubles>& x) const {
    const int64_t n = static_cast<int64_t>(x.size()), dim = config_.head_dim;
    std::vector<Doubles> query(n), key(n), value(n);
    for (int64_t i = 0; i < n; ++i) {
      const Doubles normed = norm(x[i], layer.input_norm);
      query[i] = multiply(layer.query, normed);
      key[i] = multiply(layer.key, normed);
      value[i] = multiply(layer.value, normed);
      rotate(query[i], i);
      rotate(key[i], i);
    }
    for (int64_t i = 0; i < n; ++i) {
      Doubles attended(config_.query_width(), 0.0);
      for (int64_t head = 0; head < config_.num_heads; ++head) {
        const int64_t q = head * dim, kv = head / config_.query_group() * dim;
        Doubles weight(i + 1);
        double peak = -INFINITY, total = 0;
        for (int64_t j = 0; j <= i; ++j) {
          for (int64_t d = 0; d < dim; ++d) weight[j] += query[i][q + d] * key[j][kv + d];
          weight[j] /= std::sqrt(static_cast<double>(dim));
          peak = std::max(peak, weight[j]);
        }
        for (double& w : weight) total += w = std::exp(w - peak);
        for (int64_t j = 0; j <= i; ++j) {
          for (int64_t d = 0; d < dim; ++d) attended[q + d] += weight[j] / total * value[j][kv + d];
        }
      }
      add(x[i], multiply(layer.output, attended));
      const Doubles normed = norm(x[i], layer.post_norm);
      Doubles gate = multiply(layer.gate, normed);
      const Doubles up = multiply(layer.up, normed);
      for (size_t f = 0; f < gate.size(); ++f) gate[f] *= up[f] / (1 + std::exp(-gate[f]));
      add(x[i], multiply(layer.down, gate));
    }
  }

  static void add(Doubles& x, const Doubles& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  ModelConfig config_;
  Tensor embedding, final_norm;
  std::vector<Layer> layers;
};

/// Tied embeddings, an odd vocabulary and sizes that are multiples of nothing.
inline ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 131;
  config.hidden_size = 48;
  config.intermediate_size = 76;
  config.num_layers = 3;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 20;
  config.max_position_embeddings = 4096;
  config.rope.theta = 10000;
  config.tie_word_embeddings = true;
  return config;
}

inline std::vector<uint32_t> random_tokens(int64_t count, uint64_t seed, uint32_t vocab = 131) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<uint32_t> uniform(0, vocab - 1);
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = uniform(random);
  return tokens;
}

}  // namespace gnomon::test
