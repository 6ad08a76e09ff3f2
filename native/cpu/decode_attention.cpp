#include "cpu/decode_attention.h"

#include <utility>
#include <vector>

#include "cpu/decode_head.h"
#include "cpu/sequence_cache.h"

namespace gnomon::cpu {

namespace {

/// With so many heads a thread takes one through all stages: what it reconstructs is still in its
/// cache when it attends, and no thread waits for another between stages.
constexpr int64_t kHeadsPerThread = 4;

struct Stage {
  int64_t (*parts)(const DecodeHead& head);
  void (*run)(DecodeHead& head, int64_t part);
};

int64_t one(const DecodeHead&) { return 1; }

constexpr Stage kStages[] = {
    {[](const DecodeHead& head) { return head.score_parts(); },
     [](DecodeHead& head, int64_t part) { head.score(part); }},
    {one, [](DecodeHead& head, int64_t) { head.select(); }},
    {[](const DecodeHead& head) { return head.reconstruct_parts(); },
     [](DecodeHead& head, int64_t part) { head.reconstruct(part); }},
    {[](const DecodeHead& head) { return head.attend_parts(); },
     [](DecodeHead& head, int64_t part) { head.attend(part); }},
    {one, [](DecodeHead& head, int64_t) { head.merge(); }},
};

void run_whole(DecodeHead& head) {
  for (const Stage& stage : kStages) {
    for (int64_t part = 0; part < stage.parts(head); ++part) stage.run(head, part);
  }
}

/// Runs one stage of all heads, part by part, over the threads.
void run_shared(ThreadPool& pool, std::span<DecodeHead* const> heads, const Stage& stage) {
  std::vector<std::pair<DecodeHead*, int64_t>> tasks;
  for (DecodeHead* head : heads) {
    for (int64_t part = 0; part < stage.parts(*head); ++part) tasks.emplace_back(head, part);
  }
  pool.parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t index, int64_t) {
    stage.run(*tasks[index].first, tasks[index].second);
  });
}

}  // namespace

void decode_attention(Context& context, int64_t layer, Matrix query, Matrix key, Matrix value,
                      std::span<SequenceCache* const> caches, Matrix out) {
  ThreadPool& pool = context.pool;
  const int64_t num_kv_heads = context.config.num_kv_heads;
  const int64_t group_width = context.config.query_group() * context.config.head_dim;
  const int64_t num_heads = static_cast<int64_t>(caches.size()) * num_kv_heads;
  const bool many = num_heads >= kHeadsPerThread * pool.size();
  std::vector<DecodeHead> heads;
  heads.reserve(num_heads);
  std::vector<DecodeHead*> whole, shared;
  for (size_t i = 0; i < caches.size(); ++i) {
    auto& cache = static_cast<CpuCache&>(*caches[i]);
    cache.append(layer, row(key, i), row(value, i));
    const CacheGeometry& geometry = cache.geometry();
    context.rope.reserve(geometry.first_position + geometry.prompt_tokens);
    for (int64_t kv_head = 0; kv_head < num_kv_heads; ++kv_head) {
      heads.emplace_back(context, cache, layer, kv_head, row(query, i) + kv_head * group_width,
                         row(out, i) + kv_head * group_width);
      // A dense head is one long stage of many parts; sharing it balances better.
      (many && !cache.geometry().dense ? whole : shared).push_back(&heads.back());
    }
  }
  pool.parallel_for(static_cast<int64_t>(whole.size()),
                    [&](int64_t index, int64_t) { run_whole(*whole[index]); });
  for (const Stage& stage : kStages) run_shared(pool, shared, stage);
  for (size_t i = 0; i < heads.size(); ++i) {
    static_cast<CpuCache&>(*caches[i / num_kv_heads])
        .count_selection(heads[i].selected_chunks(), heads[i].hit_chunks());
  }
}

}  // namespace gnomon::cpu
