#include "engine/prefill.h"

#include <algorithm>
#include <numeric>

namespace gnomon {

namespace {

/// Sizes of the activations.
struct Extent {
  int64_t rows = 0;     // computed
  int64_t longest = 0;  // prompt

  void add(int64_t prompt_tokens, int64_t shared) {
    rows += prompt_tokens - (rows > 0 ? shared : 0);
    longest = std::max(longest, prompt_tokens);
  }
};

}  // namespace

Prefill::Prefill(Model& model, std::span<const uint32_t> tokens, SequenceCache& cache)
    : Prefill(model, std::initializer_list<PrefillMember>{{tokens, &cache}}, 0) {}

Prefill::Prefill(Model& model, std::span<const PrefillMember> members, int64_t shared)
    : model_(model), first_position_(members.front().cache->geometry().first_position) {
  const ModelConfig& c = model.config();
  Backend& backend = model.backend();
  std::vector<uint32_t> tokens;
  const auto append = [&](std::span<const uint32_t> part, int64_t position, SequenceCache* cache) {
    const Rows rows{static_cast<int64_t>(tokens.size()), position,
                    static_cast<int64_t>(part.size())};
    segments_.push_back({rows, cache});
    tokens.insert(tokens.end(), part.begin(), part.end());
  };
  if (shared > 0) append(members.front().tokens.first(shared), 0, nullptr);
  Extent extent;
  bool is_sparse = false;
  for (const PrefillMember& member : members) {
    append(member.tokens.subspan(shared), shared, member.cache);
    extent.add(static_cast<int64_t>(member.tokens.size()), shared);
    is_sparse = is_sparse || !member.cache->geometry().dense;
  }
  hidden_ = backend.allocate(extent.rows, c.hidden_size);
  query_ = backend.allocate(extent.rows, c.query_width());
  if (!backend.attends_in_place()) attended_ = backend.allocate(extent.rows, c.query_width());
  if (is_sparse) key_pre_rope_ = backend.allocate(extent.longest, c.key_width());
  key_ = backend.allocate(extent.longest, c.key_width());
  value_ = backend.allocate(extent.longest, c.key_width());
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    for (const Segment& segment : segments_) work_total_ += work(segment, layer);
  }
  backend.embed(tokens, *model.weights_.embedding, hidden_->matrix());
  begin_segment(0);
}

int64_t Prefill::workspace_bytes(const ModelConfig& c, const Backend& backend,
                                 std::span<const int64_t> prompts, int64_t shared) {
  Extent extent;
  for (const int64_t prompt_tokens : prompts) extent.add(prompt_tokens, shared);
  const int64_t queries = backend.attends_in_place() ? 1 : 2;
  return backend.matrix_bytes(extent.rows, c.hidden_size) +
         queries * backend.matrix_bytes(extent.rows, c.query_width()) +
         3 * backend.matrix_bytes(extent.longest, c.key_width());
}

int64_t Prefill::workspace_bytes(const ModelConfig& config, const Backend& backend,
                                 int64_t prompt_tokens) {
  return workspace_bytes(config, backend, {&prompt_tokens, 1}, 0);
}

double Prefill::work(Stage stage, const Rows& rows) const {
  const ModelConfig& c = model_.config();
  const double hidden = c.hidden_size, query = c.query_width();
  switch (stage) {
    case Stage::project:
      return rows.count * hidden * (query + 2 * c.key_width());
    case Stage::attend:
      return rows.count * query * 2 * (rows.position + 0.5 * (rows.count + 1));
    case Stage::finish:
      return rows.count * hidden * (query + 3.0 * c.intermediate_size);
  }
  return 0;
}

double Prefill::work(const Segment& segment, int64_t layer) const {
  const Rows out = rows_out(segment, layer);
  return work(Stage::project, segment.rows) + work(Stage::attend, out) + work(Stage::finish, out);
}

Prefill::Rows Prefill::rows_out(const Segment& segment, int64_t layer) const {
  Rows out = segment.rows;
  if (!is_last_layer(layer)) return out;
  const int64_t count = segment.cache ? 1 : 0;
  out.row += out.count - count;
  out.position += out.count - count;
  out.count = count;
  return out;
}

bool Prefill::step() {
  const Backend& backend = model_.backend();
  const int64_t most = stage_ == Stage::attend ? backend.attention_rows() : backend.prefill_rows();
  Rows& left = todo_.front();
  const Rows block{left.row, left.position, std::min(most, left.count)};
  switch (stage_) {
    case Stage::project:
      project_block(block);
      break;
    case Stage::attend:
      attend_block(block);
      break;
    case Stage::finish:
      finish_block(block);
      break;
  }
  work_done_ += work(stage_, block);
  left.row += block.count;
  left.position += block.count;
  left.count -= block.count;
  if (left.count == 0) todo_.pop_front();
  advance();
  return layer_ == model_.config().num_layers;
}

void Prefill::advance() {
  while (todo_.empty() && layer_ < model_.config().num_layers) {
    const Segment& segment = segments_[segment_];
    switch (stage_) {
      case Stage::project: {
        stage_ = Stage::attend;
        const Rows out = rows_out(segment, layer_);
        if (out.count > 0 && !segment.dropped) todo_.push_back(out);
        break;
      }
      case Stage::attend:
        if (segment.cache && !segment.dropped) {
          const int64_t prompt = segment.rows.position + segment.rows.count;
          model_.backend().summarise(layer_, rows_of(key_pre_rope_, 0, prompt),
                                     rows_of(key_, 0, prompt), rows_of(value_, 0, prompt),
                                     *segment.cache);
        }
        begin_segment(segment_ + 1);
        break;
      case Stage::finish:
        if (++layer_ < model_.config().num_layers) {
          begin_segment(0);
        } else {
          finish_layers();
        }
        break;
    }
  }
}

void Prefill::begin_segment(size_t segment) {
  while (segment < segments_.size() && segments_[segment].dropped) ++segment;
  if (segment == segments_.size()) return begin_finish();
  segment_ = segment;
  stage_ = Stage::project;
  todo_.push_back(segments_[segment].rows);
}

void Prefill::begin_finish() {
  stage_ = Stage::finish;
  for (const Segment& segment : segments_) {
    const Rows out = rows_out(segment, layer_);
    if (out.count == 0 || segment.dropped) continue;
    if (!todo_.empty() && todo_.back().row + todo_.back().count == out.row) {
      todo_.back().count += out.count;
    } else {
      todo_.push_back(out);
    }
  }
}

void Prefill::finish_layers() {
  std::vector<Matrix> last;
  for (const Segment& segment : segments_) {
    if (!segment.cache || segment.dropped) continue;
    last.push_back(rows_of(hidden_, segment.rows.row + segment.rows.count - 1, 1));
  }
  model_.finish(last);
}

void Prefill::drop(const SequenceCache& cache) {
  const auto dropped = std::ranges::find(segments_, &cache, &Segment::cache);
  dropped->dropped = true;
  const auto index = static_cast<size_t>(dropped - segments_.begin());
  const bool is_at_work = stage_ != Stage::finish && index == segment_;
  const bool is_to_come = stage_ != Stage::finish && index > segment_;
  for (int64_t layer = layer_ + (is_to_come ? 0 : 1); layer < model_.config().num_layers; ++layer) {
    work_total_ -= work(*dropped, layer);
  }
  if (!is_at_work) return;
  todo_.clear();
  advance();
}

Matrix Prefill::rows_of(const std::unique_ptr<Buffer>& buffer, int64_t first, int64_t count) const {
  return buffer ? row_range(buffer->matrix(), first, count, model_.backend().element_bytes())
                : Matrix{};
}

void Prefill::project_block(const Rows& rows) {
  std::vector<int32_t> positions(rows.count);
  std::iota(positions.begin(), positions.end(),
            static_cast<int32_t>(first_position_ + rows.position));
  const Matrix normed = first_rows(model_.normed_->matrix(), rows.count);
  const Matrix qkv = first_rows(model_.qkv_->matrix(), rows.count);
  model_.project(model_.weights_.layers[layer_], rows_of(hidden_, rows.row, rows.count), normed,
                 qkv);
  model_.backend().split_and_rotate(qkv, positions, rows_of(query_, rows.row, rows.count),
                                    rows_of(key_pre_rope_, rows.position, rows.count),
                                    rows_of(key_, rows.position, rows.count),
                                    rows_of(value_, rows.position, rows.count));
}

void Prefill::attend_block(const Rows& rows) {
  model_.backend().prefill_attention(rows_of(query_, rows.row, rows.count), rows.position,
                                     key_->matrix(), value_->matrix(),
                                     rows_of(attended(), rows.row, rows.count));
}

void Prefill::finish_block(const Rows& rows) {
  model_.finish_layer(model_.weights_.layers[layer_], rows_of(attended(), rows.row, rows.count),
                      rows_of(hidden_, rows.row, rows.count));
}

double Prefill::share_done() const {
  if (layer_ == model_.config().num_layers) return 1;
  return std::clamp(work_done_ / work_total_, 0.0, 1.0);
}

}  // namespace gnomon
