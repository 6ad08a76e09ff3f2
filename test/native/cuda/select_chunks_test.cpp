#include "cuda/select_chunks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int kv_heads, group, chunks, selected, slots, outliers, steps;
};

/// Several decode steps of random logits that drift, checked against a plain computation.
void check(const Case& c, uint64_t seed) {
  const int max_chunks = (c.chunks + 31) / 32 * 32;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, 3);
  DecodeShape shape{};
  shape.batch = 1;
  shape.num_heads = c.kv_heads * c.group;
  shape.num_kv_heads = c.kv_heads;
  shape.head_dim = 64;
  shape.chunk_size = 8;
  shape.max_chunks = max_chunks;
  shape.max_selected = c.selected;
  const int blocks = score_blocks(shape);
  const std::vector<int32_t> empty_chunks(c.kv_heads * c.chunks, -1);
  const std::vector<int32_t> empty_slots(c.kv_heads * c.slots, -1);
  const std::vector<int32_t> never(c.kv_heads * c.slots, -100000);
  const DeviceVector<int32_t> chunk_slot(empty_chunks), slot_chunk(empty_slots), slot_used(never);
  const DeviceVector<unsigned long long> hits(std::vector<unsigned long long>{0});
  std::vector<HeadView> views(c.kv_heads);
  for (int h = 0; h < c.kv_heads; ++h) {
    views[h].num_chunks = c.chunks;
    views[h].num_selected = c.selected;
    views[h].num_slots = c.slots;
    views[h].chunk_slot = chunk_slot.data() + h * c.chunks;
    views[h].slot_chunk = slot_chunk.data() + h * c.slots;
    views[h].slot_used = slot_used.data() + h * c.slots;
    views[h].hits = hits.data();
  }
  const DeviceVector<HeadView> heads(views);
  std::vector<float> logits(static_cast<size_t>(c.kv_heads) * c.group * max_chunks, NAN);
  const auto logit = [&](int kv, int h, int chunk) -> float& {
    return logits[(static_cast<size_t>(kv) * c.group + h) * max_chunks + chunk];
  };
  for (int kv = 0; kv < c.kv_heads; ++kv) {
    for (int chunk = 0; chunk < c.chunks; ++chunk) {
      for (int h = 0; h < c.group; ++h) {
        logit(kv, h, chunk) = chunk < c.outliers ? -INFINITY : normal(random);
      }
    }
  }
  unsigned long long expected_hits = 0;
  for (int step = 1; step <= c.steps; ++step) {
    std::vector<float2> partial(c.kv_heads * c.group * blocks, float2{-INFINITY, 0});
    for (int kv = 0; kv < c.kv_heads; ++kv) {
      for (int chunk = c.outliers; chunk < c.chunks; ++chunk) {
        for (int h = 0; h < c.group; ++h) logit(kv, h, chunk) += 0.5f * normal(random);
      }
      for (int h = 0; h < c.group; ++h) {
        for (int chunk = c.outliers; chunk < c.chunks; ++chunk) {
          float2& part = partial[(kv * c.group + h) * blocks + chunk / 512];
          const float top = std::max(part.x, logit(kv, h, chunk));
          part.y = part.y * std::exp2(part.x - top) + std::exp2(logit(kv, h, chunk) - top);
          part.x = top;
        }
      }
    }
    const auto slots_before = chunk_slot.read();
    const DeviceVector<float> device_logits(logits);
    const DeviceVector<float2> device_partial(partial);
    const DeviceVector<int32_t> step_counter(std::vector<int32_t>{step});
    const DeviceVector<float> spill(c.kv_heads * max_chunks);
    const DeviceVector<int32_t> slots(c.kv_heads * c.selected),
        miss_chunks(c.kv_heads * c.selected), miss_slots(c.kv_heads * c.selected),
        miss_counts(c.kv_heads);
    select_chunks(shape, heads.data(), {device_logits.data(), device_partial.data()},
                  step_counter.data(), spill.data(),
                  {slots.data(), miss_chunks.data(), miss_slots.data(), miss_counts.data()},
                  nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    const auto got_slots = slots.read(), got_chunk_slot = chunk_slot.read(),
               got_slot_chunk = slot_chunk.read(), got_misses = miss_counts.read();
    for (int kv = 0; kv < c.kv_heads; ++kv) {
      std::vector<double> score(c.chunks, -INFINITY);
      for (int h = 0; h < c.group; ++h) {
        double total = 0;
        for (int chunk = c.outliers; chunk < c.chunks; ++chunk) {
          total += std::exp2(static_cast<double>(logit(kv, h, chunk)));
        }
        for (int chunk = c.outliers; chunk < c.chunks; ++chunk) {
          score[chunk] = std::max(score[chunk], logit(kv, h, chunk) - std::log2(total));
        }
      }
      std::vector<int> order(c.chunks);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int a, int b) { return score[a] > score[b]; });
      const double threshold = score[order[c.selected - 1]];
      std::set<int> chosen, used_slots;
      int misses = 0;
      for (int i = 0; i < c.selected; ++i) {
        const int slot = got_slots[kv * c.selected + i];
        REQUIRE(slot >= 0);
        REQUIRE(slot < c.slots);
        const int chunk = got_slot_chunk[kv * c.slots + slot];
        CHECK(got_chunk_slot[kv * c.chunks + chunk] == slot);
        CHECK(score[chunk] > threshold - 1e-5);
        chosen.insert(chunk);
        used_slots.insert(slot);
        const bool hit = slots_before[kv * c.chunks + chunk] >= 0;
        misses += !hit;
        expected_hits += hit;
        if (hit) CHECK(slots_before[kv * c.chunks + chunk] == slot);
      }
      CHECK(chosen.size() == static_cast<size_t>(c.selected));
      CHECK(used_slots.size() == static_cast<size_t>(c.selected));
      CHECK(got_misses[kv] == misses);
      for (int slot = 0; slot < c.slots; ++slot) {
        const int chunk = got_slot_chunk[kv * c.slots + slot];
        if (chunk >= 0) CHECK(got_chunk_slot[kv * c.chunks + chunk] == slot);
      }
    }
  }
  CHECK(hits.read()[0] == expected_hits);
}

}  // namespace

TEST_CASE("cuda select_chunks: the best chunks, each in one slot, over many steps") {
  NEEDS_GPU();
  check({1, 1, 5, 2, 2, 1, 4}, 1);
  check({2, 4, 700, 64, 64, 6, 6}, 2);
  check({8, 4, 15616, 256, 512, 48, 5}, 3);
  check({3, 7, 1031, 100, 333, 0, 6}, 4);
  check({2, 16, 4097, 1030, 2049, 3, 4}, 5);
  check({2, 4, 31232, 512, 1024, 48, 4}, 6);
  check({1, 4, 60001, 600, 1200, 48, 3}, 7);  // scores beyond shared memory
}

TEST_CASE("cuda select_chunks: equal scores take the lower chunks") {
  NEEDS_GPU();
  // How many chunks there are of each score, 2, 1 and 0, scattered; and how many are chosen.
  struct Ties {
    int chunks, twos, ones, selected;
  };
  for (const Ties c : {Ties{100, 0, 100, 10}, Ties{20000, 100, 15000, 300},
                       Ties{5000, 1200, 3800, 700}, Ties{5000, 3, 5, 2000}}) {
    CAPTURE(c.chunks);
    CAPTURE(c.selected);
    const int max_chunks = (c.chunks + 31) / 32 * 32;
    DecodeShape shape{};
    shape.batch = shape.num_heads = shape.num_kv_heads = 1;
    shape.head_dim = 64;
    shape.chunk_size = 8;
    shape.max_chunks = max_chunks;
    shape.max_selected = c.selected;
    std::vector<float> scores(c.chunks, 0);
    std::fill_n(scores.begin(), c.twos + c.ones, 1.0f);
    std::fill_n(scores.begin(), c.twos, 2.0f);
    std::ranges::shuffle(scores, std::mt19937_64(1));
    std::vector<int32_t> order(c.chunks);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](int a, int b) { return scores[a] > scores[b]; });
    std::vector<int32_t> wanted(order.begin(), order.begin() + c.selected);
    std::ranges::sort(wanted);
    scores.resize(max_chunks, NAN);
    const DeviceVector<int32_t> chunk_slot(std::vector<int32_t>(c.chunks, -1));
    const DeviceVector<int32_t> slot_chunk(std::vector<int32_t>(c.selected, -1));
    const DeviceVector<int32_t> slot_used(std::vector<int32_t>(c.selected, -100000));
    const DeviceVector<unsigned long long> hits(std::vector<unsigned long long>{0});
    HeadView view{};
    view.num_chunks = c.chunks;
    view.num_selected = view.num_slots = c.selected;
    view.chunk_slot = chunk_slot.data();
    view.slot_chunk = slot_chunk.data();
    view.slot_used = slot_used.data();
    view.hits = hits.data();
    const DeviceVector<HeadView> heads(std::vector<HeadView>{view});
    const DeviceVector<float> logits(scores), spill(max_chunks);
    const DeviceVector<float2> partial(
        std::vector<float2>(score_blocks(shape), float2{2.0f, 100.0f}));
    const DeviceVector<int32_t> step(std::vector<int32_t>{1}), slots(c.selected),
        miss_chunks(c.selected), miss_slots(c.selected), miss_counts(1);
    select_chunks(shape, heads.data(), {logits.data(), partial.data()}, step.data(), spill.data(),
                  {slots.data(), miss_chunks.data(), miss_slots.data(), miss_counts.data()},
                  nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    CHECK(miss_chunks.read() == wanted);
  }
}
