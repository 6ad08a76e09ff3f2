#include "cuda/gather_values.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cuda/launch.h"
#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int head_dim, chunk_size, chunks;
  std::vector<int> misses;  // of each list; -1: the list's values are read in place
};

using Gather = void (*)(const DecodeShape&, const HeadView*, const Selection&, cudaStream_t);

/// Random misses go to random slots, out of pinned host memory; nothing else changes.
void check(const Case& c, Gather gather, uint64_t seed) {
  const int lists = static_cast<int>(c.misses.size()), slots = c.chunks + 3, most = c.chunks;
  const size_t chunk_elements = static_cast<size_t>(c.chunk_size) * c.head_dim;
  std::mt19937_64 random(seed);
  const auto values = random_elements(lists * c.chunks * chunk_elements, random());
  Element* pinned = nullptr;
  CUDA_CHECK(cudaMallocHost(&pinned, values.size() * sizeof(Element)));
  std::ranges::copy(values, pinned);
  const DeviceVector<Element> slot_values(lists * slots * chunk_elements);
  std::vector<HeadView> views(lists);
  std::vector<int32_t> miss_chunks(lists * most, -1), miss_slots(lists * most, -1), counts(lists);
  // Which chunk each slot is to hold, or -1.
  std::vector<int> holds(lists * slots, -1);
  for (int list = 0; list < lists; ++list) {
    const bool in_place = c.misses[list] < 0;
    views[list].values = pinned + list * c.chunks * chunk_elements;
    views[list].slot_values =
        in_place ? nullptr : slot_values.data() + list * slots * chunk_elements;
    counts[list] = in_place ? 5 : c.misses[list];
    if (in_place) continue;
    std::vector<int> chunk_order(c.chunks), slot_order(slots);
    std::iota(chunk_order.begin(), chunk_order.end(), 0);
    std::iota(slot_order.begin(), slot_order.end(), 0);
    std::ranges::shuffle(chunk_order, random);
    std::ranges::shuffle(slot_order, random);
    for (int i = 0; i < counts[list]; ++i) {
      miss_chunks[list * most + i] = chunk_order[i];
      miss_slots[list * most + i] = slot_order[i];
      holds[list * slots + slot_order[i]] = chunk_order[i];
    }
  }
  const DeviceVector<HeadView> device_views(views);
  const DeviceVector<int32_t> device_chunks(miss_chunks), device_slots(miss_slots),
      device_counts(counts);
  DecodeShape shape{};
  shape.batch = 1;
  shape.num_heads = shape.num_kv_heads = lists;
  shape.head_dim = c.head_dim;
  shape.chunk_size = c.chunk_size;
  shape.max_selected = most;
  gather(shape, device_views.data(),
         {nullptr, device_chunks.data(), device_slots.data(), device_counts.data()}, nullptr);
  CUDA_CHECK(cudaDeviceSynchronize());

  const auto got = slot_values.read();
  int wrong = 0;
  for (size_t at = 0; at < got.size(); ++at) {
    const size_t slot = at / chunk_elements, list = slot / slots;
    const float value = to_float(got[at]);
    if (holds[slot] < 0) {
      wrong += !std::isnan(value);
    } else {
      const size_t chunk = list * c.chunks + holds[slot];
      wrong += value != to_float(values[chunk * chunk_elements + at % chunk_elements]);
    }
  }
  CHECK(wrong == 0);
  CUDA_CHECK(cudaFreeHost(pinned));
}

void check_all(Gather gather) {
  uint64_t seed = 1;
  for (const int head_dim : {64, 96, 128}) {
    for (const int chunk_size : {8, 16}) {
      CAPTURE(head_dim);
      CAPTURE(chunk_size);
      check({head_dim, chunk_size, 61, {0, 1, 17, -1, 61}}, gather, seed++);
      check({head_dim, chunk_size, 61, {0, -1}}, gather, seed++);
      // More lists than a block has threads, more misses than its rings hold.
      std::vector<int> many(600);
      for (int& misses : many) misses = static_cast<int>(seed * 7 + &misses - many.data()) % 5 - 1;
      check({head_dim, chunk_size, 7, many}, gather, seed++);
    }
  }
  check({128, 8, 700, {700, 3, 699}}, gather, seed);
}

}  // namespace

TEST_CASE("cuda gather_values: every miss lands in its slot by bulk copies, nothing else changes") {
  NEEDS_GPU();
  if (!launches_early()) {
    MESSAGE("skipped: no bulk copies before sm_90");
    return;
  }
  check_all(gather_values_in_bulk);
}

TEST_CASE("cuda gather_values: every miss lands in its slot by loads, nothing else changes") {
  NEEDS_GPU();
  check_all(gather_values_by_loads);
}

TEST_CASE("cuda gather_values: what the device is given does the same") {
  NEEDS_GPU();
  check({128, 8, 61, {0, 1, 17, -1, 61}}, gather_values, 3);
}
