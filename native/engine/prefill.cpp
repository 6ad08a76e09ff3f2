#include "engine/prefill.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace gnomon {

Prefill::Prefill(Model& model, std::span<const uint32_t> tokens, SequenceCache& cache)
    : model_(model), tokens_(tokens), cache_(cache) {
  const ModelConfig& c = model.config();
  Backend& backend = model.backend();
  const int64_t rows = static_cast<int64_t>(tokens.size());
  hidden_ = backend.allocate(rows, c.hidden_size);
  query_ = backend.allocate(rows, c.query_width());
  if (!backend.attends_in_place()) attended_ = backend.allocate(rows, c.query_width());
  if (!cache.geometry().dense) key_pre_rope_ = backend.allocate(rows, c.key_width());
  key_ = backend.allocate(rows, c.key_width());
  value_ = backend.allocate(rows, c.key_width());
  for (layer_ = 0; layer_ < c.num_layers; ++layer_) {
    const int64_t first = first_row_out();
    work_total_ += work(Stage::project, 0, rows) + work(Stage::attend, first, rows - first) +
                   work(Stage::finish, first, rows - first);
  }
  layer_ = 0;
  backend.embed(tokens, *model.weights_.embedding, hidden_->matrix());
}

int64_t Prefill::workspace_bytes(const ModelConfig& c, const Backend& backend,
                                 int64_t prompt_tokens) {
  const auto bytes = [&](int64_t cols) { return backend.matrix_bytes(prompt_tokens, cols); };
  const int64_t queries = backend.attends_in_place() ? 1 : 2;
  return bytes(c.hidden_size) + queries * bytes(c.query_width()) + 3 * bytes(c.key_width());
}

double Prefill::work(Stage stage, int64_t first, int64_t rows) const {
  const ModelConfig& c = model_.config();
  const double hidden = c.hidden_size, query = c.query_width();
  switch (stage) {
    case Stage::project:
      return rows * hidden * (query + 2 * c.key_width());
    case Stage::attend:
      return rows * query * 2 * (first + 0.5 * (rows + 1));
    case Stage::finish:
      return rows * hidden * (query + 3.0 * c.intermediate_size);
  }
  return 0;
}

int64_t Prefill::first_row_out() const {
  const int64_t prompt = static_cast<int64_t>(tokens_.size());
  return layer_ + 1 == model_.config().num_layers ? prompt - 1 : 0;
}

bool Prefill::step() {
  const Backend& backend = model_.backend();
  const int64_t prompt = static_cast<int64_t>(tokens_.size());
  const int64_t most = stage_ == Stage::attend ? backend.attention_rows() : backend.prefill_rows();
  const int64_t first = next_row_, rows = std::min(most, prompt - first);
  switch (stage_) {
    case Stage::project:
      project_block(first, rows);
      break;
    case Stage::attend:
      attend_block(first, rows);
      break;
    case Stage::finish:
      finish_block(first, rows);
      break;
  }
  work_done_ += work(stage_, first, rows);
  next_row_ += rows;
  if (next_row_ == prompt) end_stage();
  return layer_ == model_.config().num_layers;
}

void Prefill::end_stage() {
  switch (stage_) {
    case Stage::project:
      stage_ = Stage::attend;
      next_row_ = first_row_out();
      return;
    case Stage::attend:
      model_.backend().summarise(layer_, key_pre_rope_ ? key_pre_rope_->matrix() : Matrix{},
                                 key_->matrix(), value_->matrix(), cache_);
      stage_ = Stage::finish;
      next_row_ = first_row_out();
      return;
    case Stage::finish:
      stage_ = Stage::project;
      next_row_ = 0;
      if (++layer_ < model_.config().num_layers) return;
      model_.finish(row_range(hidden_->matrix(), static_cast<int64_t>(tokens_.size()) - 1, 1,
                              model_.backend().element_bytes()));
  }
}

void Prefill::project_block(int64_t first, int64_t rows) {
  Backend& backend = model_.backend();
  const LayerWeights& layer = model_.weights_.layers[layer_];
  const int64_t bytes = backend.element_bytes();
  const auto block = [&](const std::unique_ptr<Buffer>& buffer) {
    return buffer ? row_range(buffer->matrix(), first, rows, bytes) : Matrix{};
  };
  std::vector<int32_t> positions(rows);
  std::iota(positions.begin(), positions.end(),
            static_cast<int32_t>(cache_.geometry().first_position + first));

  const Matrix normed = first_rows(model_.normed_->matrix(), rows);
  const Matrix qkv = first_rows(model_.qkv_->matrix(), rows);
  model_.project(layer, block(hidden_), normed, qkv);
  backend.split_and_rotate(qkv, positions, block(query_), block(key_pre_rope_), block(key_),
                           block(value_));
}

void Prefill::attend_block(int64_t first, int64_t rows) {
  Backend& backend = model_.backend();
  const int64_t bytes = backend.element_bytes();
  backend.prefill_attention(row_range(query_->matrix(), first, rows, bytes), first, key_->matrix(),
                            value_->matrix(), row_range(attended(), first, rows, bytes));
}

void Prefill::finish_block(int64_t first, int64_t rows) {
  const int64_t bytes = model_.backend().element_bytes();
  model_.finish_layer(model_.weights_.layers[layer_], row_range(attended(), first, rows, bytes),
                      row_range(hidden_->matrix(), first, rows, bytes));
}

int64_t Prefill::tokens_done() const {
  const double prompt = static_cast<double>(tokens_.size());
  return std::min<int64_t>(tokens_.size(), prompt * (work_done_ / work_total_));
}

}  // namespace gnomon
