#include "engine/model.h"

#include <algorithm>
#include <utility>

namespace gnomon {

namespace {

/// Row i of rows (n, width) moves to place to[i].
template <typename T>
void move_rows(std::vector<T>& rows, std::span<const int64_t> to, int64_t width) {
  if (std::ranges::is_sorted(to)) return;
  const std::vector<T> before = rows;
  for (size_t i = 0; i < to.size(); ++i) {
    std::copy_n(before.begin() + static_cast<int64_t>(i) * width, width,
                rows.begin() + to[i] * width);
  }
}

}  // namespace

Model::Model(ModelConfig config, ModelWeights weights, Backend& backend, int64_t max_batch)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      backend_(backend),
      rows_(std::max(max_batch, backend.prefill_rows())),
      hidden_(backend.allocate(max_batch, config_.hidden_size)),
      normed_(backend.allocate(rows_, config_.hidden_size)),
      qkv_(backend.allocate(rows_, config_.query_width() + 2 * config_.key_width())),
      query_(backend.allocate(max_batch, config_.query_width())),
      key_(backend.allocate(max_batch, config_.key_width())),
      value_(backend.allocate(max_batch, config_.key_width())),
      gate_up_(backend.allocate(rows_, 2 * config_.intermediate_size)),
      mlp_(backend.allocate(rows_, config_.intermediate_size)),
      final_(backend.allocate(max_batch, config_.hidden_size)) {}

std::vector<Model::DecodePart> Model::cut(const DecodeStep& step) {
  const std::vector<std::vector<int64_t>> lists = backend_.decode_parts(step.caches);
  ordered_ = {};
  for (const std::vector<int64_t>& list : lists) {
    for (const int64_t i : list) {
      ordered_.from.push_back(i);
      ordered_.tokens.push_back(step.tokens[i]);
      ordered_.positions.push_back(step.positions[i]);
      ordered_.caches.push_back(step.caches[i]);
    }
  }
  const DecodeStep ordered{ordered_.tokens, ordered_.positions, ordered_.caches};
  std::vector<DecodePart> parts;
  int64_t first = 0;
  for (const std::vector<int64_t>& list : lists) {
    const auto rows = static_cast<int64_t>(list.size());
    const auto of = [&](const std::unique_ptr<Buffer>& buffer) {
      return row_range(buffer->matrix(), first, rows, backend_.element_bytes());
    };
    parts.push_back({{ordered.tokens.subspan(first, rows), ordered.positions.subspan(first, rows),
                      ordered.caches.subspan(first, rows)},
                     of(hidden_),
                     of(query_),
                     of(key_),
                     of(value_),
                     of(final_)});
    first += rows;
  }
  return parts;
}

int64_t Model::scratch_bytes(const ModelConfig& c, const Backend& backend, int64_t max_batch) {
  const int64_t rows = std::max(max_batch, backend.prefill_rows());
  const auto bytes = [&](int64_t count, std::initializer_list<int64_t> columns) {
    int64_t sum = 0;
    for (const int64_t cols : columns) sum += backend.matrix_bytes(count, cols);
    return sum;
  };
  return bytes(max_batch,
               {c.hidden_size, c.query_width(), c.key_width(), c.key_width(), c.hidden_size}) +
         bytes(rows, {c.hidden_size, c.query_width() + 2 * c.key_width(), 2 * c.intermediate_size,
                      c.intermediate_size});
}

void Model::decode(const DecodeStep& step) {
  const std::vector<DecodePart> parts = cut(step);
  // What is replayed leaves no trace on the host: only calls to the backend may stand within.
  last_ = first_rows(final_->matrix(), static_cast<int64_t>(step.tokens.size()));
  const DecodeStep ordered{ordered_.tokens, ordered_.positions, ordered_.caches};
  backend_.decode_step(ordered, parts.front().hidden.rows, [&] {
    for (const DecodePart& part : parts) {
      backend_.embed(part.step.tokens, *weights_.embedding, part.hidden);
      begin_layer(0, part);
    }
    for (int64_t i = 1; i < config_.num_layers; ++i) {
      for (const DecodePart& part : parts) {
        end_layer(i - 1, part);
        begin_layer(i, part);
      }
    }
    for (const DecodePart& part : parts) {
      end_layer(config_.num_layers - 1, part);
      backend_.rms_norm(part.hidden, *weights_.final_norm, config_.rms_norm_eps, part.last);
    }
  });
}

void Model::begin_layer(int64_t index, const DecodePart& part) {
  const LayerWeights& layer = weights_.layers[index];
  const Matrix normed = first_rows(normed_->matrix(), part.hidden.rows);
  const Matrix qkv = first_rows(qkv_->matrix(), part.hidden.rows);
  project(layer, part.hidden, normed, qkv);
  backend_.split_and_rotate(qkv, part.step.positions, part.query, {}, part.key, part.value);
  backend_.prepare_attention(index, part.query, part.key, part.value, part.step.caches);
}

void Model::end_layer(int64_t index, const DecodePart& part) {
  backend_.decode_attention(index, part.query, part.key, part.value, part.step.caches, part.query);
  finish_layer(weights_.layers[index], part.query, part.hidden);
}

void Model::project(const LayerWeights& layer, Matrix hidden, Matrix normed, Matrix qkv) {
  backend_.rms_norm(hidden, *layer.input_norm, config_.rms_norm_eps, normed);
  backend_.linear(normed, *layer.qkv, qkv);
  if (layer.query_norm) {
    backend_.norm_heads(qkv, *layer.query_norm, *layer.key_norm, config_.rms_norm_eps);
  }
}

void Model::finish_layer(const LayerWeights& layer, Matrix attended, Matrix hidden) {
  const Matrix normed = first_rows(normed_->matrix(), hidden.rows);
  const Matrix gate_up = first_rows(gate_up_->matrix(), hidden.rows);
  const Matrix mlp = first_rows(mlp_->matrix(), hidden.rows);
  backend_.linear_add(attended, *layer.output, hidden);
  backend_.rms_norm(hidden, *layer.post_norm, config_.rms_norm_eps, normed);
  backend_.linear(normed, *layer.gate_up, gate_up);
  backend_.silu_multiply(gate_up, mlp);
  backend_.linear_add(mlp, *layer.down, hidden);
}

void Model::finish(std::span<const Matrix> rows) {
  ordered_.from.clear();
  last_ = first_rows(final_->matrix(), static_cast<int64_t>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    backend_.rms_norm(rows[i], *weights_.final_norm, config_.rms_norm_eps,
                      row_range(last_, static_cast<int64_t>(i), 1, backend_.element_bytes()));
  }
}

std::span<const float> Model::logits() {
  logits_.resize(last_.rows * config_.vocab_size);
  backend_.logits(last_, *weights_.lm_head, logits_);
  move_rows(logits_, ordered_.from, config_.vocab_size);
  return logits_;
}

std::span<const uint32_t> Model::greedy_tokens() {
  tokens_.resize(last_.rows);
  backend_.greedy_tokens(last_, *weights_.lm_head, tokens_);
  move_rows(tokens_, ordered_.from, 1);
  return tokens_;
}

}  // namespace gnomon
