#include "engine/model.h"

#include <algorithm>
#include <utility>

namespace gnomon {

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

void Model::decode(const DecodeStep& step) {
  const int64_t n = static_cast<int64_t>(step.tokens.size());
  const Matrix hidden = first_rows(hidden_->matrix(), n);
  const Matrix normed = first_rows(normed_->matrix(), n);
  const Matrix qkv = first_rows(qkv_->matrix(), n);
  const Matrix query = first_rows(query_->matrix(), n);
  const Matrix key = first_rows(key_->matrix(), n);
  const Matrix value = first_rows(value_->matrix(), n);

  // What is replayed leaves no trace on the host: only calls to the backend may stand within.
  last_ = first_rows(final_->matrix(), n);
  backend_.decode_step(step, [&] {
    backend_.embed(step.tokens, *weights_.embedding, hidden);
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const LayerWeights& layer = weights_.layers[i];
      project(layer, hidden, normed, qkv);
      backend_.split_and_rotate(qkv, step.positions, query, {}, key, value);
      backend_.decode_attention(i, query, key, value, step.caches, query);
      finish_layer(layer, query, hidden);
    }
    backend_.rms_norm(hidden, *weights_.final_norm, config_.rms_norm_eps, last_);
  });
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

void Model::finish(Matrix hidden) {
  last_ = first_rows(final_->matrix(), hidden.rows);
  backend_.rms_norm(hidden, *weights_.final_norm, config_.rms_norm_eps, last_);
}

std::span<const float> Model::logits() {
  logits_.resize(last_.rows * config_.vocab_size);
  backend_.logits(last_, *weights_.lm_head, logits_);
  return logits_;
}

std::span<const uint32_t> Model::greedy_tokens() {
  tokens_.resize(last_.rows);
  backend_.greedy_tokens(last_, *weights_.lm_head, tokens_);
  return tokens_;
}

}  // namespace gnomon
