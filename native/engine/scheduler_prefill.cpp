// The scheduler's part up to the first token: who is admitted, with whom, and the prefill.

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/prefix_group.h"
#include "engine/scheduler.h"
#include "engine/value_placement.h"

namespace gnomon {

namespace {

// Who comes while a prefill has hardly begun may still join: it starts again with all of them. In
// total so much of it, at most, is done for nothing; every one that joins saves nearly all of it.
constexpr double kMostThrownAway = 0.125;

}  // namespace

CacheGeometry Scheduler::place(int64_t prompt_tokens, int64_t max_new_tokens,
                               CacheBytes in_use) const {
  const Backend& backend = model_.backend();
  CacheGeometry device = resolve_geometry(cache_options_, prompt_tokens, max_new_tokens);
  device.first_position = first_position(model_.config(), prompt_tokens + max_new_tokens);
  if (device.dense || backend.unified_memory() ||
      cache_options_.values != ValuePlacement::automatic) {
    return device;
  }
  CacheGeometry host = device;
  host.values_on_host = true;
  const CacheBytes work{Prefill::workspace_bytes(model_.config(), backend, prompt_tokens), 0};
  const bool to_host = prefers_host(backend.cache_bytes(device) + work,
                                    backend.cache_bytes(host) + work, in_use, ledger_.capacity());
  return to_host ? host : device;
}

void Scheduler::place(Sequence& sequence, CacheBytes in_use) const {
  sequence.geometry = place(sequence.prompt_tokens(), sequence.request.max_new_tokens, in_use);
  sequence.cache_bytes = model_.backend().cache_bytes(sequence.geometry);
}

int64_t Scheduler::free_seats() const {
  return max_batch_ - static_cast<int64_t>(decoding_.size() + prefilling_.size());
}

/// Starts the prefill of the first waiting request if memory and batch have room for it, and of
/// those that begin as it does. Otherwise requests keep their order: a large one is not overtaken
/// for ever by small ones, as whoever is first leads the next group.
bool Scheduler::admit() {
  if (waiting_.empty() || out_of_pieces_ || free_seats() <= 0) return false;
  Sequence& next = *waiting_.front();
  place(next, ledger_.used());
  const CacheBytes work{
      Prefill::workspace_bytes(model_.config(), model_.backend(), next.prompt_tokens()), 0};
  if (!ledger_.fits(next.cache_bytes + work, ledger_.used())) return false;
  ledger_.add(next.cache_bytes);
  prefilling_.push_back(std::move(waiting_.front()));
  waiting_.pop_front();
  thrown_away_ = 0;
  if (!admit_alone_) gather();
  admit_alone_ = false;
  return begin_prefill();
}

bool Scheduler::gather() {
  newcomers_ = false;
  const Backend& backend = model_.backend();
  if (waiting_.empty() || free_seats() <= 0) return false;
  const Sequence& leader = *prefilling_.front();
  const size_t joined = prefilling_.size() - 1;
  std::vector<std::span<const uint32_t>> others;
  for (size_t i = 1; i <= joined; ++i) others.emplace_back(prefilling_[i]->request.tokens);
  std::vector<size_t> candidates;  // in waiting_
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const Sequence& other = *waiting_[i];
    const int64_t start =
        first_position(model_.config(), other.prompt_tokens() + other.request.max_new_tokens);
    if (start != leader.geometry.first_position) continue;
    if (other.request.reuse_scope != leader.request.reuse_scope) continue;
    candidates.push_back(i);
    others.emplace_back(other.request.tokens);
  }
  const PrefixGroup group = choose_prefix_group(leader.request.tokens, others,
                                                static_cast<int64_t>(joined) + free_seats());
  // Whoever is in it stays in it.
  for (size_t i = 0; i < joined; ++i) {
    if (i >= group.members.size() || group.members[i] != i) return false;
  }

  std::vector<int64_t> prompts;
  for (const auto& sequence : prefilling_) prompts.push_back(sequence->prompt_tokens());
  for (const size_t member : std::span(group.members).subspan(joined)) {
    auto& sequence = waiting_[candidates[member - joined]];
    prompts.push_back(sequence->prompt_tokens());
    const CacheBytes work{Prefill::workspace_bytes(model_.config(), backend, prompts, group.shared),
                          0};
    place(*sequence, ledger_.used());
    const CacheBytes in_use = ledger_.used() - prefill_workspace_;
    if (!ledger_.fits(sequence->cache_bytes + work, in_use)) break;
    ledger_.add(sequence->cache_bytes);
    prefilling_.push_back(std::move(sequence));
  }
  std::erase(waiting_, nullptr);
  return prefilling_.size() > joined + 1;
}

bool Scheduler::begin_prefill() {
  try {
    std::vector<PrefillMember> members;
    std::vector<int64_t> prompts;
    const std::span<const uint32_t> leader = prefilling_.front()->request.tokens;
    int64_t shared = prefilling_.size() > 1 ? static_cast<int64_t>(leader.size()) : 0;
    for (const auto& sequence : prefilling_) {
      if (!sequence->cache) sequence->cache = model_.backend().make_cache(sequence->geometry);
      members.push_back({sequence->request.tokens, sequence->cache.get()});
      prompts.push_back(sequence->prompt_tokens());
      if (shared > 0) shared = std::min(shared, shared_tokens(leader, sequence->request.tokens));
    }
    prefill_workspace_ = {
        Prefill::workspace_bytes(model_.config(), model_.backend(), prompts, shared), 0};
    ledger_.add(prefill_workspace_);
    prefill_ = std::make_unique<Prefill>(model_, members, shared);
  } catch (...) {
    return put_back(as_engine_error(std::current_exception()));
  }
  for (const auto& sequence : prefilling_) {
    if (sequence->prefill_started == Clock::time_point{}) sequence->prefill_started = Clock::now();
  }
  return true;
}

/// Undoes the admission of prefilling_.
bool Scheduler::put_back(const EngineError& error) {
  const bool was_group = prefilling_.size() > 1;
  end_prefill();
  while (!prefilling_.empty()) {
    Sequence& last = *prefilling_.back();
    last.cache.reset();
    last.prefill_started = {};
    ledger_.remove(last.cache_bytes);
    waiting_.push_front(std::move(prefilling_.back()));
    prefilling_.pop_back();
  }
  if (error.code == "device_failed") throw error;
  if (was_group) {
    admit_alone_ = true;
    return admit();
  }
  // Others hold memory in between: once one of them ends, there will be larger pieces.
  if (error.code == "out_of_memory" && !decoding_.empty()) {
    out_of_pieces_ = true;
    return false;
  }
  const std::unique_ptr<Sequence> failed = std::move(waiting_.front());
  waiting_.pop_front();
  out_of_pieces_ = false;
  failed->callbacks.on_error(error);
  return admit();
}

void Scheduler::join_newcomers() {
  const double thrown_away = thrown_away_ + prefill_->share_done();
  newcomers_ = false;
  if (thrown_away > kMostThrownAway || !gather()) return;
  thrown_away_ = thrown_away;
  end_prefill();
  begin_prefill();
}

void Scheduler::end_prefill() {
  prefill_.reset();
  ledger_.remove(prefill_workspace_);
  prefill_workspace_ = {};
}

void Scheduler::prefill_step() {
  const auto started = Clock::now();
  bool prefilled = false;
  try {
    prefilled = prefill_->step();
  } catch (...) {
    const EngineError error = as_engine_error(std::current_exception());
    const auto failed = std::exchange(prefilling_, {});
    end_prefill();
    for (const auto& sequence : failed) {
      release(*sequence);
      sequence->callbacks.on_error(error);
    }
    if (error.code == "device_failed") throw error;
    return;
  }
  totals_.prefill_seconds += milliseconds(Clock::now() - started) / 1e3;
  const double share = prefill_->share_done();
  for (const auto& sequence : prefilling_) {
    const auto done = static_cast<int64_t>(static_cast<double>(sequence->prompt_tokens()) * share);
    sequence->prefilled = std::max(sequence->prefilled, done);
    report_progress(*sequence);
  }
  if (prefilled) begin_decoding();
}

void Scheduler::begin_decoding() {
  const int64_t shared = prefill_->shared_tokens();
  end_prefill();
  for (size_t i = 0; i < prefilling_.size(); ++i) {
    Sequence& sequence = *prefilling_[i];
    sequence.cached_tokens = i == 0 ? 0 : shared;
    totals_.cached_tokens += sequence.cached_tokens;
    totals_.prefilled_tokens += sequence.prompt_tokens() - sequence.cached_tokens;
    sequence.phase = Progress::Phase::decode;
    sequence.decode_started = Clock::now();
    if (Penalties::needed(sequence.request.sampling)) {
      sequence.penalties.emplace(sequence.request.sampling, sequence.request.tokens);
    }
  }
  std::vector<NextToken> next = picker_.pick(prefilling_);
  for (size_t i = 0; i < prefilling_.size(); ++i) {
    if (!take_token(*prefilling_[i], std::move(next[i]))) {
      decoding_.push_back(std::move(prefilling_[i]));
    }
  }
  prefilling_.clear();
}

}  // namespace gnomon
