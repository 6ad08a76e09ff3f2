#include "engine/prefill.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace gnomon {

namespace {

/// Multiply-adds per row of the projections before and after attention.
double project_work(const ModelConfig& c) {
  return static_cast<double>(c.hidden_size) * (c.query_width() + 2 * c.key_width());
}

double finish_work(const ModelConfig& c) {
  return static_cast<double>(c.query_width()) * c.hidden_size +
         3.0 * c.hidden_size * c.intermediate_size;
}

}  // namespace

Prefill::Prefill(Model& model, std::span<const uint32_t> tokens, SequenceCache& cache)
    : model_(model), tokens_(tokens), cache_(cache) {
  const ModelConfig& c = model.config();
  Backend& backend = model.backend();
  const int64_t rows = static_cast<int64_t>(tokens.size());
  hidden_ = backend.allocate(rows, c.hidden_size);
  query_ = backend.allocate(rows, c.query_width());
  if (!cache.geometry().dense) key_pre_rope_ = backend.allocate(rows, c.key_width());
  key_ = backend.allocate(rows, c.key_width());
  value_ = backend.allocate(rows, c.key_width());
  // The last layer attends with the last row only.
  work_total_ = c.num_layers * rows * project_work(c) + (c.num_layers - 1) * attend_work(0, rows) +
                attend_work(rows - 1, 1);
  backend.embed(tokens, *model.weights_.embedding, hidden_->matrix());
}

int64_t Prefill::workspace_bytes(const ModelConfig& c, const Backend& backend,
                                 int64_t prompt_tokens) {
  return prompt_tokens * (c.hidden_size + c.query_width() + 3 * c.key_width()) *
         backend.element_bytes();
}

double Prefill::attend_work(int64_t first, int64_t rows) const {
  const ModelConfig& c = model_.config();
  const double mean_context = first + 0.5 * (rows + 1);
  return rows * (finish_work(c) + 2.0 * mean_context * c.query_width());
}

bool Prefill::step() {
  const ModelConfig& c = model_.config();
  const int64_t prompt = static_cast<int64_t>(tokens_.size());
  const int64_t rows = std::min(model_.backend().prefill_rows(), prompt - next_row_);
  if (stage_ == Stage::project) {
    project_block(next_row_, rows);
    work_done_ += rows * project_work(c);
    next_row_ += rows;
    if (next_row_ == prompt) start_attention();
    return false;
  }
  attend_block(next_row_, rows);
  work_done_ += attend_work(next_row_, rows);
  next_row_ += rows;
  if (next_row_ < prompt) return false;
  stage_ = Stage::project;
  next_row_ = 0;
  if (++layer_ < c.num_layers) return false;
  model_.finish(row_range(hidden_->matrix(), prompt - 1, 1, model_.backend().element_bytes()));
  return true;
}

void Prefill::project_block(int64_t first, int64_t rows) {
  Backend& backend = model_.backend();
  const LayerWeights& layer = model_.weights_.layers[layer_];
  const int64_t bytes = backend.element_bytes();
  const auto block = [&](const std::unique_ptr<Buffer>& buffer) {
    return buffer ? row_range(buffer->matrix(), first, rows, bytes) : Matrix{};
  };
  std::vector<int32_t> positions(rows);
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));

  const Matrix normed = first_rows(model_.normed_->matrix(), rows);
  const Matrix qkv = first_rows(model_.qkv_->matrix(), rows);
  backend.rms_norm(block(hidden_), *layer.input_norm, model_.config().rms_norm_eps, normed);
  backend.linear(normed, *layer.qkv, qkv);
  backend.split_and_rotate(qkv, positions, block(query_), block(key_pre_rope_), block(key_),
                           block(value_));
}

void Prefill::start_attention() {
  model_.backend().summarise(layer_, key_pre_rope_ ? key_pre_rope_->matrix() : Matrix{},
                             key_->matrix(), value_->matrix(), cache_);
  const int64_t prompt = static_cast<int64_t>(tokens_.size());
  const bool last_layer = layer_ + 1 == model_.config().num_layers;
  stage_ = Stage::attend;
  next_row_ = last_layer ? prompt - 1 : 0;
}

void Prefill::attend_block(int64_t first, int64_t rows) {
  Backend& backend = model_.backend();
  const int64_t bytes = backend.element_bytes();
  const Matrix query = row_range(query_->matrix(), first, rows, bytes);
  backend.prefill_attention(query, first, key_->matrix(), value_->matrix(), query);
  model_.finish_layer(model_.weights_.layers[layer_], query,
                      row_range(hidden_->matrix(), first, rows, bytes));
}

int64_t Prefill::tokens_done() const {
  const double prompt = static_cast<double>(tokens_.size());
  return std::min<int64_t>(tokens_.size(), prompt * (work_done_ / work_total_));
}

}  // namespace gnomon
