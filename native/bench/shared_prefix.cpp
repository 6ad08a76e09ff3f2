#include "bench/shared_prefix.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "engine/error.h"
#include "engine/memory_ledger.h"
#include "engine/prefill.h"

namespace gnomon {

using nlohmann::json;

namespace {

constexpr int64_t kMaxNewTokens = 64;

/// The document is the beginning of the text, repeated where it is too short; each question is
/// a run of tokens that no other has.
std::vector<uint32_t> prompt_of(const std::vector<uint32_t>& text, int64_t prompt_tokens,
                                int64_t question_tokens, int64_t question, int64_t vocab_size) {
  std::vector<uint32_t> tokens;
  for (int64_t i = 0; i < prompt_tokens - question_tokens; ++i) {
    tokens.push_back(text[i % text.size()]);
  }
  for (int64_t i = 0; i < question_tokens; ++i) {
    tokens.push_back(static_cast<uint32_t>((text[i % text.size()] + 1 + question) % vocab_size));
  }
  return tokens;
}

struct Cost {
  double seconds = 0;
  double cpu_seconds = 0;  // of all threads: what a machine busy with other things distorts less

  Cost& operator+=(Cost other) {
    seconds += other.seconds;
    cpu_seconds += other.cpu_seconds;
    return *this;
  }
};

/// Runs it to its end, first tokens read back.
Cost cost_of(Model& model, const std::vector<PrefillMember>& members, int64_t shared) {
  const auto started = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  Prefill prefill(model, members, shared);
  while (!prefill.step()) {
  }
  model.greedy_tokens();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(),
          static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
}

}  // namespace

json measure_shared_prefix(Model& model, const std::vector<uint32_t>& text,
                           const Measurement& measurement, const SharedPrefix& shared) {
  Backend& backend = model.backend();
  const int64_t prompt_tokens = measurement.prompt_tokens;
  const int64_t document_tokens = prompt_tokens - shared.question_tokens;
  if (document_tokens < 1 || shared.question_tokens < 1) {
    throw EngineError("invalid_options", "--question-tokens leaves no document of the prompt");
  }
  CacheGeometry geometry = resolve_geometry(measurement.cache, prompt_tokens, kMaxNewTokens);
  geometry.first_position = first_position(model.config(), prompt_tokens + kMaxNewTokens);
  std::vector<std::vector<uint32_t>> prompts;
  std::vector<int64_t> lengths;
  MemoryLedger ledger(backend.capacity(), backend.unified_memory());
  for (int64_t i = 0; i < shared.questions; ++i) {
    prompts.push_back(
        prompt_of(text, prompt_tokens, shared.question_tokens, i, model.config().vocab_size));
    lengths.push_back(prompt_tokens);
    const CacheBytes work{
        Prefill::workspace_bytes(model.config(), backend, lengths, document_tokens), 0};
    const CacheBytes need = backend.cache_bytes(geometry);
    const std::string refusal = ledger.refusal(need + work, ledger.used());
    if (!refusal.empty()) {
      throw EngineError("out_of_memory", "question " + std::to_string(i + 1) + " " + refusal);
    }
    ledger.add(need);
  }

  std::vector<std::unique_ptr<SequenceCache>> caches;
  std::vector<PrefillMember> members;
  for (const auto& prompt : prompts) {
    caches.push_back(backend.make_cache(geometry));
    members.push_back({prompt, caches.back().get()});
  }
  cost_of(model, {members[0]}, 0);  // loads and plans what a first prefill of this length does
  Cost alone;
  for (const PrefillMember& member : members) alone += cost_of(model, {member}, 0);
  Cost together = alone;
  if (shared.questions > 1) {
    cost_of(model, members, document_tokens);
    together = cost_of(model, members, document_tokens);
  }
  std::fprintf(stderr, "%-8s %7ld tokens, %3ld questions: alone %8.2f s, together %8.2f s\n",
               measurement.cache_name.c_str(), prompt_tokens, shared.questions, alone.seconds,
               together.seconds);
  return {{"cache", measurement.cache_name},
          {"prompt_tokens", prompt_tokens},
          {"question_tokens", shared.question_tokens},
          {"questions", shared.questions},
          {"alone_seconds", alone.seconds},
          {"together_seconds", together.seconds},
          {"alone_cpu_seconds", alone.cpu_seconds},
          {"together_cpu_seconds", together.cpu_seconds}};
}

}  // namespace gnomon
