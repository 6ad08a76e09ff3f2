#include "cpu/decode_attention.h"

#include <algorithm>
#include <vector>

#include "cpu/decode_head.h"
#include "cpu/sequence_cache.h"

namespace gnomon::cpu {

namespace {

/// Runs one stage of all heads, part by part, over the threads.
template <typename Parts, typename Run>
void run_stage(ThreadPool& pool, std::vector<DecodeHead>& heads, Parts parts, Run run) {
  std::vector<std::pair<DecodeHead*, int64_t>> tasks;
  for (DecodeHead& head : heads) {
    for (int64_t part = 0; part < parts(head); ++part) tasks.emplace_back(&head, part);
  }
  pool.parallel_for(static_cast<int64_t>(tasks.size()),
                    [&](int64_t index, int64_t) { run(*tasks[index].first, tasks[index].second); });
}

}  // namespace

void decode_attention(Context& context, int64_t layer, Matrix query, Matrix key, Matrix value,
                      std::span<SequenceCache* const> caches, Matrix out) {
  const int64_t num_kv_heads = context.config.num_kv_heads;
  const int64_t group_width = context.config.query_group() * context.config.head_dim;
  std::vector<DecodeHead> heads;
  heads.reserve(caches.size() * num_kv_heads);
  for (size_t i = 0; i < caches.size(); ++i) {
    auto& cache = static_cast<CpuCache&>(*caches[i]);
    cache.append(layer, row(key, i), row(value, i));
    context.rope.reserve(cache.geometry().context_tokens());
    for (int64_t kv_head = 0; kv_head < num_kv_heads; ++kv_head) {
      heads.emplace_back(context, cache, layer, kv_head, row(query, i) + kv_head * group_width,
                         row(out, i) + kv_head * group_width);
    }
  }
  const auto one = [](const DecodeHead&) { return int64_t{1}; };
  ThreadPool& pool = context.pool;
  run_stage(
      pool, heads, [](auto& head) { return head.score_parts(); },
      [](auto& head, int64_t part) { head.score(part); });
  run_stage(pool, heads, one, [](auto& head, int64_t) { head.select(); });
  run_stage(
      pool, heads, [](auto& head) { return head.reconstruct_parts(); },
      [](auto& head, int64_t part) { head.reconstruct(part); });
  run_stage(
      pool, heads, [](auto& head) { return head.attend_parts(); },
      [](auto& head, int64_t part) { head.attend(part); });
  run_stage(pool, heads, one, [](auto& head, int64_t) { head.merge(); });
  for (size_t i = 0; i < heads.size(); ++i) {
    static_cast<CpuCache&>(*caches[i / num_kv_heads])
        .count_selection(heads[i].selected_chunks(), heads[i].hit_chunks());
  }
}

}  // namespace gnomon::cpu
