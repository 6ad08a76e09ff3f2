#include "engine/weights.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/checkpoint.h"
#include "engine/weight_names.h"

namespace gnomon {

namespace {

/// A projection of the checkpoint: `name`.weight (rows, in) and, with biases, `name`.bias (rows).
struct Projection {
  std::string name;
  int64_t rows;
};

/// For each dimension of a head as inverse_frequencies orders it, where the file has it.
std::vector<int64_t> head_order(const ModelConfig& config) {
  const int64_t half = config.head_dim / 2;
  const int64_t rotated = config.rope.rotated_dims(config.head_dim), pairs = rotated / 2;
  std::vector<int64_t> order(config.head_dim);
  for (int64_t i = 0; i < half; ++i) {
    const bool turns = i < pairs;
    const int64_t passed = rotated + i - pairs;
    order[i] = !turns ? passed : config.rope.interleaved ? 2 * i : i;
    order[half + i] = !turns                    ? passed + half - pairs
                      : config.rope.interleaved ? 2 * i + 1
                                                : pairs + i;
  }
  return order;
}

size_t row_bytes(const HostTensor& tensor) {
  return dtype_bytes(tensor.dtype) * tensor.count() / tensor.shape[0];
}

/// The same tensor with its elements in memory of its own.
HostTensor with_bytes(HostTensor tensor, std::vector<std::byte> bytes) {
  const auto owned = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  tensor.data = owned->data();
  tensor.owner = owned;
  tensor.file = -1;
  return tensor;
}

HostTensor rows_of(const HostTensor& tensor, int64_t first, int64_t count) {
  HostTensor part = tensor;
  part.shape[0] = count;
  const size_t skipped = first * row_bytes(tensor);
  part.data += skipped;
  part.offset += static_cast<int64_t>(skipped);
  return part;
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, WeightStore& store)
      : checkpoint_(checkpoint),
        config_(config),
        names_(weight_names(config.naming)),
        store_(store),
        order_(head_order(config)),
        reordered_(!std::ranges::is_sorted(order_)) {}

  int64_t bytes() const { return bytes_; }

  std::unique_ptr<Weight> final_norm() { return norm(names_.final_norm, config_.hidden_size); }

  void embeddings(ModelWeights& out) {
    const HostTensor table =
        take(names_.embedding + ".weight", {config_.vocab_size, config_.hidden_size});
    out.embedding = store_.load_embedding(table);
    if (config_.tie_word_embeddings) out.lm_head = store_.load_linear({&table, 1}, {});
    if (!config_.tie_word_embeddings) {
      out.lm_head = linear({{names_.lm_head, config_.vocab_size}}, config_.hidden_size, false);
    }
  }

  LayerWeights layer(int64_t index) {
    const std::string prefix = names_.layers + std::to_string(index) + ".";
    const int64_t hidden = config_.hidden_size, intermediate = config_.intermediate_size;
    LayerWeights out;
    out.input_norm = norm(prefix + names_.input_norm, hidden);
    out.qkv = qkv(prefix);
    if (config_.qk_norm) {
      out.query_norm = head_norm(prefix + names_.query_norm);
      out.key_norm = head_norm(prefix + names_.key_norm);
    }
    out.output =
        linear({{prefix + names_.output, hidden}}, config_.query_width(), config_.output_bias);
    out.post_norm = norm(prefix + names_.post_norm, hidden);
    out.gate_up =
        checkpoint_.holds(prefix + names_.fused_gate_up + ".weight")
            ? linear({{prefix + names_.fused_gate_up, 2 * intermediate}}, hidden, config_.mlp_bias)
            : linear({{prefix + names_.gate, intermediate}, {prefix + names_.up, intermediate}},
                     hidden, config_.mlp_bias);
    out.down = linear({{prefix + names_.down, hidden}}, intermediate, config_.mlp_bias);
    return out;
  }

 private:
  std::unique_ptr<Weight> norm(const std::string& name, int64_t size) {
    return store_.load_norm(take(name + ".weight", {size}));
  }

  std::unique_ptr<Weight> head_norm(const std::string& name) {
    return store_.load_norm(in_head_order(take(name + ".weight", {config_.head_dim})));
  }

  std::unique_ptr<Weight> linear(const std::vector<Projection>& projections, int64_t in,
                                 bool has_bias) {
    std::vector<HostTensor> weights, biases;
    for (const auto& [name, rows] : projections) {
      weights.push_back(take(name + ".weight", {rows, in}));
      if (has_bias) biases.push_back(take(name + ".bias", {rows}));
    }
    return store_.load_linear(weights, biases);
  }

  std::unique_ptr<Weight> qkv(const std::string& prefix) {
    std::vector<HostTensor> weights = qkv_parts(prefix, ".weight", {config_.hidden_size});
    std::vector<HostTensor> biases;
    if (config_.qkv_bias) biases = qkv_parts(prefix, ".bias", {});
    return store_.load_linear(weights, biases);
  }

  /// Query, key and value, out of one tensor or three. `columns`: of their shape, after the rows.
  std::vector<HostTensor> qkv_parts(const std::string& prefix, const std::string& suffix,
                                    const std::vector<int64_t>& columns) {
    const int64_t query = config_.query_width(), key = config_.key_width();
    const auto shape = [&](int64_t rows) {
      std::vector<int64_t> out{rows};
      out.insert(out.end(), columns.begin(), columns.end());
      return out;
    };
    std::vector<HostTensor> parts;
    if (checkpoint_.holds(prefix + names_.fused_qkv + suffix)) {
      const HostTensor fused = take(prefix + names_.fused_qkv + suffix, shape(query + 2 * key));
      if (!reordered_) return {fused};
      parts = {rows_of(fused, 0, query), rows_of(fused, query, key),
               rows_of(fused, query + key, key)};
    } else {
      parts = {take(prefix + names_.query + suffix, shape(query)),
               take(prefix + names_.key + suffix, shape(key)),
               take(prefix + names_.value + suffix, shape(key))};
    }
    parts[0] = in_head_order(parts[0]);
    parts[1] = in_head_order(parts[1]);
    return parts;
  }

  /// The rows of every head (heads * head_dim, ...) rearranged.
  HostTensor in_head_order(HostTensor tensor) {
    if (!reordered_) return tensor;
    const size_t bytes = row_bytes(tensor);
    std::vector<std::byte> copy(bytes * tensor.shape[0]);
    for (int64_t row = 0; row < tensor.shape[0]; ++row) {
      const int64_t dim = row % config_.head_dim;
      std::copy_n(tensor.data + (row - dim + order_[dim]) * bytes, bytes,
                  copy.data() + row * bytes);
    }
    return with_bytes(std::move(tensor), std::move(copy));
  }

  /// Backends may read elements by pointer, so a tensor that its file does not align is copied.
  HostTensor take(const std::string& name, const std::vector<int64_t>& shape) {
    HostTensor tensor = checkpoint_.tensor(name, shape);
    const size_t bytes = dtype_bytes(tensor.dtype) * tensor.count();
    if (reinterpret_cast<uintptr_t>(tensor.data) % dtype_bytes(tensor.dtype) != 0) {
      tensor = with_bytes(tensor, {tensor.data, tensor.data + bytes});
    }
    bytes_ += static_cast<int64_t>(bytes);
    return tensor;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const WeightNames names_;
  WeightStore& store_;
  const std::vector<int64_t> order_;
  const bool reordered_;
  int64_t bytes_ = 0;
};

}  // namespace

ModelWeights load_weights(const ModelConfig& config, const std::filesystem::path& model_dir,
                          WeightStore& store, const LoadProgress& on_progress) {
  const Checkpoint checkpoint(model_dir);
  const int64_t total = checkpoint.bytes();
  const auto report = [&](int64_t bytes) {
    if (on_progress) on_progress(bytes, total);
  };
  Loader loader(checkpoint, config, store);
  ModelWeights out;
  report(0);
  loader.embeddings(out);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    report(loader.bytes());
    out.layers.push_back(loader.layer(layer));
  }
  out.final_norm = loader.final_norm();
  store.finish_loading();
  report(total);
  out.bytes = loader.bytes();
  return out;
}

}  // namespace gnomon
