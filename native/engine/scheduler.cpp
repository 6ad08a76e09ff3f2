#include "engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace gnomon {

namespace {

// While a prompt is in prefill, a decode step runs once this many times its own duration has gone
// to the prefill: running sequences keep moving, and lose the prefill at most a fifth of its speed.
constexpr int kPrefillShare = 4;

}  // namespace

Scheduler::Scheduler(Model& model, const CacheOptions& cache, int64_t max_batch)
    : model_(model),
      picker_(model),
      cache_options_(cache),
      max_batch_(max_batch),
      ledger_(model.backend().capacity(), model.backend().unified_memory()) {
  totals_.capacity = ledger_.capacity();
}

Plan Scheduler::plan(int64_t prompt_tokens, int64_t max_new_tokens, CacheBytes in_use,
                     int64_t active) const {
  const Backend& backend = model_.backend();
  CacheOptions full;
  full.kind = CacheKind::full;
  Plan plan;
  plan.cache = backend.cache_bytes(place(prompt_tokens, max_new_tokens, in_use));
  plan.cache_full = backend.cache_bytes(resolve_geometry(full, prompt_tokens, max_new_tokens));
  plan.workspace_bytes = Prefill::workspace_bytes(model_.config(), backend, prompt_tokens);
  const CacheBytes work{plan.workspace_bytes, 0};
  const CacheBytes alone = backend.cache_bytes(place(prompt_tokens, max_new_tokens, {}));
  plan.reason = ledger_.refusal(alone + work, {});
  plan.fits = plan.reason.empty();
  plan.fits_now = plan.fits && active < max_batch_ && ledger_.fits(plan.cache + work, in_use);
  return plan;
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  const int64_t prompt = sequence->prompt_tokens();
  const int64_t new_tokens = sequence->request.max_new_tokens;
  const int64_t positions = model_.config().max_position_embeddings;
  if (prompt == 0 || new_tokens < 1) {
    sequence->callbacks.on_error(
        EngineError("invalid_request", "a request needs a prompt and max_new_tokens >= 1"));
    return;
  }
  if (prompt + new_tokens > positions) {
    sequence->callbacks.on_error(EngineError(
        "context_overflow", "prompt of " + std::to_string(prompt) + " tokens plus " +
                                std::to_string(new_tokens) + " new ones exceed the model's " +
                                std::to_string(positions) + " positions"));
    return;
  }
  for (const uint32_t token : sequence->request.tokens) {
    if (token < model_.config().vocab_size) continue;
    sequence->callbacks.on_error(EngineError(
        "invalid_request", "token id " + std::to_string(token) + " is outside the vocabulary"));
    return;
  }
  const Plan plan = this->plan(prompt, new_tokens, {}, 0);
  if (!plan.fits) {
    sequence->callbacks.on_error(EngineError("out_of_memory", "this request " + plan.reason));
    return;
  }
  sequence->cache_full_bytes = plan.cache_full;
  waiting_.push_back(std::move(sequence));
  newcomers_ = true;
}

void Scheduler::cancel(uint64_t id) {
  const auto has_id = [id](const auto& sequence) { return sequence->id == id; };
  std::unique_ptr<Sequence> found;
  if (auto it = std::ranges::find_if(waiting_, has_id); it != waiting_.end()) {
    found = std::move(*it);
    waiting_.erase(it);
  } else if (auto it = std::ranges::find_if(prefilling_, has_id); it != prefilling_.end()) {
    found = std::move(*it);
    prefilling_.erase(it);
    if (prefilling_.empty()) {
      end_prefill();
    } else {
      prefill_->drop(*found->cache);
    }
    release(*found);
  } else if (auto it = std::ranges::find_if(decoding_, has_id); it != decoding_.end()) {
    found = std::move(*it);
    decoding_.erase(it);
    release(*found);
  }
  if (found) found->callbacks.on_error(EngineError("cancelled", "the request was cancelled"));
}

void Scheduler::finish_early(uint64_t id) {
  const auto it = std::ranges::find_if(decoding_, [id](const auto& s) { return s->id == id; });
  if (it == decoding_.end()) return;
  const std::unique_ptr<Sequence> found = std::move(*it);
  decoding_.erase(it);
  finish(*found, "stop");
}

void Scheduler::fail_all(const EngineError& error) {
  std::vector<std::unique_ptr<Sequence>> all;
  for (auto& sequence : waiting_) all.push_back(std::move(sequence));
  waiting_.clear();
  if (prefill_) end_prefill();
  for (auto* running : {&prefilling_, &decoding_}) {
    for (auto& sequence : *running) {
      release(*sequence);
      all.push_back(std::move(sequence));
    }
    running->clear();
  }
  for (auto& sequence : all) sequence->callbacks.on_error(error);
}

bool Scheduler::step() {
  if (prefill_ && newcomers_) join_newcomers();
  if (!prefill_ && !admit() && decoding_.empty()) return false;
  if (prefill_ && !decode_is_due()) {
    prefill_step();
  } else {
    decode_step();
  }
  return true;
}

bool Scheduler::decode_is_due() const {
  return !decoding_.empty() && Clock::now() - decode_ended_ >= kPrefillShare * decode_took_;
}

void Scheduler::decode_step() {
  const auto started = Clock::now();
  std::vector<uint32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<SequenceCache*> caches;
  for (const auto& sequence : decoding_) {
    tokens.push_back(sequence->generated.back());
    positions.push_back(sequence->next_position());
    caches.push_back(sequence->cache.get());
  }
  std::vector<NextToken> next;
  try {
    model_.decode({tokens, positions, caches});
    next = picker_.pick(decoding_);
  } catch (...) {
    EngineError error = as_engine_error(std::current_exception());
    // The ledger let all of them in, so that none asks for too much by itself; which of them is in
    // the others' way cannot be told. A new engine can take each alone.
    if (error.code == "out_of_memory" && decoding_.size() > 1) {
      error = EngineError("device_failed", error.what());
    }
    auto failed = std::move(decoding_);
    decoding_.clear();
    for (auto& sequence : failed) {
      release(*sequence);
      sequence->callbacks.on_error(error);
    }
    if (error.code == "device_failed") throw error;
    return;
  }
  for (size_t i = 0; i < decoding_.size(); ++i) {
    if (take_token(*decoding_[i], std::move(next[i]))) decoding_[i].reset();
  }
  std::erase(decoding_, nullptr);
  decode_ended_ = Clock::now();
  decode_took_ = decode_ended_ - started;
  totals_.decode_seconds += milliseconds(decode_took_) / 1e3;
  totals_.decoded_tokens += static_cast<int64_t>(tokens.size());
}

bool Scheduler::take_token(Sequence& sequence, NextToken next) {
  const uint32_t token = next.token;
  if (is_stop_token(sequence, token)) {
    finish(sequence, "stop");
    return true;
  }
  sequence.generated.push_back(token);
  if (sequence.penalties) sequence.penalties->add(token);
  if (sequence.request.top_logprobs >= 0) sequence.logprobs.push_back(std::move(next.logprobs));
  if (sequence.callbacks.on_tokens) sequence.callbacks.on_tokens({&sequence.generated.back(), 1});
  report_progress(sequence);
  const int64_t generated = static_cast<int64_t>(sequence.generated.size());
  if (generated < sequence.request.max_new_tokens) return false;
  finish(sequence, "length");
  return true;
}

bool Scheduler::is_stop_token(const Sequence& sequence, uint32_t token) const {
  const auto& eos = model_.config().eos_token_ids;
  if (!sequence.request.ignore_eos && std::ranges::find(eos, token) != eos.end()) return true;
  const auto& stop = sequence.request.stop_token_ids;
  return std::ranges::find(stop, token) != stop.end();
}

void Scheduler::report_progress(const Sequence& sequence) const {
  if (!sequence.callbacks.on_progress) return;
  Progress progress;
  progress.prompt_tokens = sequence.prompt_tokens();
  progress.generated_tokens = static_cast<int64_t>(sequence.generated.size());
  progress.phase = sequence.phase;
  progress.prefill_tokens = sequence.prefilled;
  sequence.callbacks.on_progress(progress);
}

void Scheduler::finish(Sequence& sequence, const char* reason) {
  const auto now = Clock::now();
  GenerateResult result;
  result.tokens = sequence.generated;
  result.logprobs = std::move(sequence.logprobs);
  result.finish_reason = reason;
  result.prompt_tokens = sequence.prompt_tokens();
  result.cached_tokens = sequence.cached_tokens;
  result.queue_ms = milliseconds(sequence.prefill_started - sequence.submitted);
  result.prefill_ms = milliseconds(sequence.decode_started - sequence.prefill_started);
  result.decode_ms = milliseconds(now - sequence.decode_started);
  result.cache = sequence.cache_bytes;
  result.cache_full = sequence.cache_full_bytes;
  const CacheStats stats = sequence.cache->stats();
  if (stats.selected_chunks > 0) {
    result.hit_rate = static_cast<double>(stats.hit_chunks) / stats.selected_chunks;
  }
  selected_.selected_chunks += stats.selected_chunks;
  selected_.hit_chunks += stats.hit_chunks;
  release(sequence);
  sequence.callbacks.on_done(std::move(result));
}

void Scheduler::release(const Sequence& sequence) {
  out_of_pieces_ = false;
  ledger_.remove(sequence.cache_bytes);
}

EngineStats Scheduler::stats() const {
  EngineStats stats = totals_;
  stats.waiting = static_cast<int64_t>(waiting_.size());
  stats.prefilling = static_cast<int64_t>(prefilling_.size());
  stats.decoding = static_cast<int64_t>(decoding_.size());
  stats.used = ledger_.used();
  if (selected_.selected_chunks > 0) {
    stats.hit_rate = static_cast<double>(selected_.hit_chunks) / selected_.selected_chunks;
  }
  return stats;
}

}  // namespace gnomon
