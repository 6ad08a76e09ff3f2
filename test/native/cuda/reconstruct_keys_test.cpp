#include "cuda/reconstruct_keys.h"

#include <algorithm>
#include <cmath>

#include "engine/config.h"
#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int head_dim, chunk_size, rank, chunks;
  std::vector<int> misses;  // of each KV head
};

/// Random misses into random slots: keys are rebuilt there, nothing else changes.
void check(const Case& c, uint64_t seed) {
  const int dim = c.head_dim, heads = static_cast<int>(c.misses.size());
  const int slots = 2 * c.chunks, most = c.chunks, context = c.chunks * c.chunk_size;
  gnomon::ModelConfig config;
  config.head_dim = dim;
  config.max_position_embeddings = 80000;
  config.rope.theta = 10000;
  const std::vector<float> frequencies = gnomon::inverse_frequencies(config.rope, dim);
  const std::vector<float2> tables = make_rope_tables(config);
  const DeviceVector<float2> device_tables(tables);
  const int first_position = 65000;  // far enough that sloppy angles would show

  std::mt19937_64 random(seed);
  const auto factor = random_elements(static_cast<size_t>(context) * c.rank, random());
  const auto basis = random_elements(static_cast<size_t>(heads) * c.rank * dim, random());
  const DeviceVector<Element> device_factor(factor), device_basis(basis);
  const size_t slot_elements = static_cast<size_t>(slots) * c.chunk_size * dim;
  const DeviceVector<Element> slot_keys(heads * slot_elements);
  std::vector<HeadView> views(heads);
  std::vector<int32_t> miss_chunks(heads * most), miss_slots(heads * most);
  std::vector<int32_t> counts(c.misses.begin(), c.misses.end());
  for (int h = 0; h < heads; ++h) {
    views[h].first_position = first_position;
    views[h].factor = device_factor.data();
    views[h].basis = device_basis.data() + static_cast<size_t>(h) * c.rank * dim;
    views[h].slot_keys = slot_keys.data() + h * slot_elements;
    std::vector<int> chunk_order(c.chunks), slot_order(slots);
    for (int i = 0; i < c.chunks; ++i) chunk_order[i] = i;
    for (int i = 0; i < slots; ++i) slot_order[i] = i;
    std::shuffle(chunk_order.begin(), chunk_order.end(), random);
    std::shuffle(slot_order.begin(), slot_order.end(), random);
    for (int i = 0; i < c.misses[h]; ++i) {
      miss_chunks[h * most + i] = chunk_order[i];
      miss_slots[h * most + i] = slot_order[i];
    }
  }
  const DeviceVector<HeadView> device_views(views);
  const DeviceVector<int32_t> device_chunks(miss_chunks), device_slots(miss_slots),
      device_counts(counts);
  DecodeShape shape{};
  shape.batch = 1;
  shape.num_heads = shape.num_kv_heads = heads;
  shape.head_dim = dim;
  shape.chunk_size = c.chunk_size;
  shape.rank = c.rank;
  shape.max_selected = most;
  const Selection selection{nullptr, device_chunks.data(), device_slots.data(),
                            device_counts.data()};
  const RopeTables rope = view_rope_tables(config, device_tables.data());
  reconstruct_keys(shape, device_views.data(), selection, rope, nullptr);
  CUDA_CHECK(cudaDeviceSynchronize());

  const auto got_keys = slot_keys.read();
  size_t written_keys = 0, expected_written = 0;
  for (const auto& key : got_keys) written_keys += !std::isnan(to_float(key));
  std::vector<double> actual, expected;
  for (int h = 0; h < heads; ++h) {
    for (int i = 0; i < c.misses[h]; ++i) {
      const int chunk = miss_chunks[h * most + i], slot = miss_slots[h * most + i];
      for (int t = 0; t < c.chunk_size; ++t) {
        const int token = chunk * c.chunk_size + t;
        const size_t row = h * slot_elements + (slot * c.chunk_size + t) * static_cast<size_t>(dim);
        std::vector<double> key(dim);
        for (int d = 0; d < dim; ++d) {
          for (int r = 0; r < c.rank; ++r) {
            key[d] += static_cast<double>(to_float(factor[token * c.rank + r])) *
                      to_float(basis[(static_cast<size_t>(h) * c.rank + r) * dim + d]);
          }
        }
        for (int d = 0; d < dim; ++d) {
          const int pair = d % (dim / 2);
          const double angle = static_cast<double>(first_position + token) * frequencies[pair];
          const double other = d < dim / 2 ? -key[d + dim / 2] : key[d - dim / 2];
          expected.push_back(key[d] * std::cos(angle) + other * std::sin(angle));
          actual.push_back(to_float(got_keys[row + d]));
        }
      }
    }
    expected_written += static_cast<size_t>(c.misses[h]) * c.chunk_size * dim;
  }
  CHECK(written_keys == expected_written);
  if (!expected.empty()) CHECK(relative_error(actual, expected) < tolerance(1e-2, 1e-5));
}

}  // namespace

TEST_CASE("cuda reconstruct_keys: every missed key lands in its slot, nothing else") {
  NEEDS_GPU();
  uint64_t seed = 1;
  for (const int head_dim : {64, 96, 128}) {
    for (const int chunk_size : {8, 16}) {
      for (const int rank : {8, 40, 96, 160, 200}) {
        CAPTURE(head_dim);
        CAPTURE(chunk_size);
        CAPTURE(rank);
        check({head_dim, chunk_size, rank, 61, {0, 1, 17, 61}}, seed++);
      }
    }
  }
  check({128, 8, 160, 700, {700, 3}}, seed);
}
