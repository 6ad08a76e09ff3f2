#include "engine/token_picker.h"

#include <algorithm>
#include <exception>

#include "engine/available_cores.h"
#include "engine/logprobs.h"
#include "engine/sampler.h"

namespace gnomon {

namespace {

// A row of 128,256 tokens takes a fifth of a millisecond, a step of many rows some milliseconds.
constexpr int64_t kMostThreads = 4;
// So many logits a thread wakes up for.
constexpr int64_t kLogitsWorthSharing = 1 << 16;

bool needs_no_logits(const std::unique_ptr<Sequence>& row) {
  return row->request.sampling.temperature <= 0 && !row->penalties && row->request.top_logprobs < 0;
}

/// logits (vocab_size): the model's own.
NextToken pick_one(const Sequence& sequence, std::span<const float> logits) {
  std::vector<float> penalised;
  std::span<const float> sampled = logits;
  if (sequence.penalties) {
    penalised.assign(logits.begin(), logits.end());
    sequence.penalties->apply(penalised);
    sampled = penalised;
  }
  const uint32_t token =
      sample(sequence.request.sampling, sampled, static_cast<int64_t>(sequence.generated.size()));
  const int64_t top = sequence.request.top_logprobs;
  return {token, top < 0 ? TokenLogprobs{} : token_logprobs(logits, token, top)};
}

}  // namespace

TokenPicker::TokenPicker(Model& model)
    : model_(model), pool_(std::min(kMostThreads, available_cores())) {}

std::vector<NextToken> TokenPicker::pick(std::span<const std::unique_ptr<Sequence>> rows) {
  std::vector<NextToken> next;
  if (std::ranges::all_of(rows, needs_no_logits)) {
    for (const uint32_t token : model_.greedy_tokens()) next.push_back({token, {}});
    return next;
  }
  const std::span<const float> logits = model_.logits();
  const int64_t vocab = model_.config().vocab_size, count = static_cast<int64_t>(rows.size());
  next.resize(rows.size());
  std::vector<std::exception_ptr> failed(rows.size());
  const auto pick_row = [&](int64_t i, int64_t) {
    try {
      next[i] = pick_one(*rows[i], logits.subspan(i * vocab, vocab));
    } catch (...) {
      failed[i] = std::current_exception();
    }
  };
  if (count * vocab < 2 * kLogitsWorthSharing) {
    for (int64_t i = 0; i < count; ++i) pick_row(i, 0);
  } else {
    pool_.parallel_for(count, pick_row);
  }
  for (const std::exception_ptr& error : failed) {
    if (error) std::rethrow_exception(error);
  }
  return next;
}

}  // namespace gnomon
