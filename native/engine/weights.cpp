#include "engine/weights.h"

#include <functional>
#include <initializer_list>
#include <numeric>
#include <string>

#include "engine/checkpoint.h"

namespace gnomon {

namespace {

/// A projection of the checkpoint: `name`.weight (rows, in) and, with biases, `name`.bias (rows).
struct Projection {
  std::string name;
  int64_t rows;
};

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, Backend& backend)
      : checkpoint_(checkpoint), backend_(backend) {}

  int64_t bytes() const { return bytes_; }

  std::unique_ptr<Weight> norm(const std::string& name, int64_t size) {
    auto loaded = backend_.load_norm(take(name, {size}));
    copies_.clear();
    return loaded;
  }

  std::unique_ptr<Weight> linear(std::initializer_list<Projection> projections, int64_t in,
                                 bool has_bias) {
    std::vector<HostTensor> weights, biases;
    for (const auto& [name, rows] : projections) {
      weights.push_back(take(name + ".weight", {rows, in}));
      if (has_bias) biases.push_back(take(name + ".bias", {rows}));
    }
    auto loaded = backend_.load_linear(weights, biases);
    copies_.clear();
    return loaded;
  }

  void embeddings(const ModelConfig& config, ModelWeights& out) {
    const HostTensor table =
        take("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
    out.embedding = backend_.load_embedding(table);
    if (config.tie_word_embeddings) out.lm_head = backend_.load_linear({&table, 1}, {});
    copies_.clear();
    if (!config.tie_word_embeddings) {
      out.lm_head = linear({{"lm_head", config.vocab_size}}, config.hidden_size, false);
    }
  }

 private:
  /// Backends may read elements by pointer, so a tensor that its file does not align is copied.
  HostTensor take(const std::string& name, const std::vector<int64_t>& shape) {
    HostTensor tensor = checkpoint_.tensor(name, shape);
    const size_t bytes =
        dtype_bytes(tensor.dtype) *
        std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
    if (reinterpret_cast<uintptr_t>(tensor.data) % dtype_bytes(tensor.dtype) != 0) {
      copies_.emplace_back(tensor.data, tensor.data + bytes);
      tensor.data = copies_.back().data();
    }
    bytes_ += static_cast<int64_t>(bytes);
    return tensor;
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  std::vector<std::vector<std::byte>> copies_;  // needed by the load under way
  int64_t bytes_ = 0;
};

LayerWeights load_layer(Loader& loader, const ModelConfig& config, int64_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::string attention = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";
  const int64_t hidden = config.hidden_size;
  const int64_t intermediate = config.intermediate_size;

  LayerWeights out;
  out.input_norm = loader.norm(prefix + "input_layernorm.weight", hidden);
  out.qkv = loader.linear({{attention + "q_proj", config.query_width()},
                           {attention + "k_proj", config.key_width()},
                           {attention + "v_proj", config.key_width()}},
                          hidden, config.attention_bias);
  out.output =
      loader.linear({{attention + "o_proj", hidden}}, config.query_width(), config.attention_bias);
  out.post_norm = loader.norm(prefix + "post_attention_layernorm.weight", hidden);
  out.gate_up = loader.linear({{mlp + "gate_proj", intermediate}, {mlp + "up_proj", intermediate}},
                              hidden, config.mlp_bias);
  out.down = loader.linear({{mlp + "down_proj", hidden}}, intermediate, config.mlp_bias);
  return out;
}

}  // namespace

ModelWeights load_weights(const ModelConfig& config, const std::filesystem::path& model_dir,
                          Backend& backend) {
  const Checkpoint checkpoint(model_dir);
  Loader loader(checkpoint, backend);
  ModelWeights out;
  loader.embeddings(config, out);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    out.layers.push_back(load_layer(loader, config, layer));
  }
  out.final_norm = loader.norm("model.norm.weight", config.hidden_size);
  out.bytes = loader.bytes();
  return out;
}

}  // namespace gnomon
