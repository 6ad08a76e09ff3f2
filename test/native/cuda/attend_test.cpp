#include "cuda/attend.h"

#include <cmath>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int head_dim, kv_heads, group, chunk_size;
  std::vector<int> exact, extra, selected;  // per sequence
};

double value(Element x) { return to_float(x); }

void check(const Case& c, uint64_t seed) {
  const int batch = static_cast<int>(c.exact.size()), dim = c.head_dim;
  const int heads = batch * c.kv_heads;
  int max_selected = 0, max_tokens = 0;
  for (int b = 0; b < batch; ++b) {
    max_selected = std::max(max_selected, c.selected[b]);
    max_tokens = std::max(max_tokens, c.exact[b] + c.extra[b] + c.selected[b] * c.chunk_size);
  }
  std::mt19937_64 random(seed);
  std::vector<std::vector<Element>> exact_keys, exact_values, slot_keys, slot_values;
  std::vector<DeviceVector<Element>> storage;
  std::vector<HeadView> views(heads);
  std::vector<int32_t> slots(heads * max_selected);
  std::vector<int32_t> extra(c.extra.begin(), c.extra.end());
  const auto upload = [&](std::vector<std::vector<Element>>& into, int rows) {
    into.push_back(random_elements(static_cast<size_t>(rows) * dim, random()));
    storage.emplace_back(into.back());
    return storage.back().data();
  };
  for (int i = 0; i < heads; ++i) {
    const int b = i / c.kv_heads, pool = (2 * c.selected[b] + 1) * c.chunk_size;
    views[i].exact_keys = upload(exact_keys, c.exact[b] + c.extra[b]);
    views[i].exact_values = upload(exact_values, c.exact[b] + c.extra[b]);
    views[i].slot_keys = upload(slot_keys, pool);
    views[i].slot_values = upload(slot_values, pool);
    views[i].exact_tokens = c.exact[b];
    views[i].num_selected = c.selected[b];
    for (int s = 0; s < c.selected[b]; ++s) {
      slots[i * max_selected + s] = static_cast<int32_t>(random() % (2 * c.selected[b] + 1));
    }
  }
  const auto query = random_elements(static_cast<size_t>(heads) * c.group * dim, random());
  const DeviceVector<HeadView> device_views(views);
  const DeviceVector<int32_t> device_slots(slots), device_extra(extra);
  const DeviceVector<Element> device_query(query), out(query.size());
  DecodeShape shape{};
  shape.batch = batch;
  shape.num_heads = c.kv_heads * c.group;
  shape.num_kv_heads = c.kv_heads;
  shape.head_dim = dim;
  shape.chunk_size = c.chunk_size;
  shape.max_selected = max_selected;
  shape.max_tokens = max_tokens;
  const DeviceVector<char> scratch(attend_scratch_bytes(shape));
  const DeviceVector<int32_t> done(std::vector<int32_t>(heads, 0));
  attend(
      shape,
      {device_views.data(), device_extra.data(), max_selected ? device_slots.data() : nullptr, dim},
      device_query.data(), out.data(), scratch.data(), done.data(), nullptr);
  CUDA_CHECK(cudaDeviceSynchronize());
  const auto got = out.read();

  std::vector<double> actual, expected;
  for (int i = 0; i < heads; ++i) {
    const int b = i / c.kv_heads;
    std::vector<const Element*> keys, values;
    for (int t = 0; t < c.exact[b] + c.extra[b]; ++t) {
      keys.push_back(&exact_keys[i][t * dim]);
      values.push_back(&exact_values[i][t * dim]);
    }
    for (int s = 0; s < c.selected[b]; ++s) {
      for (int t = 0; t < c.chunk_size; ++t) {
        const int row = slots[i * max_selected + s] * c.chunk_size + t;
        keys.push_back(&slot_keys[i][row * dim]);
        values.push_back(&slot_values[i][row * dim]);
      }
    }
    for (int h = 0; h < c.group; ++h) {
      const Element* q = &query[(i * c.group + h) * dim];
      std::vector<double> weight(keys.size()), sum(dim, 0.0);
      double total = 0;
      for (size_t t = 0; t < keys.size(); ++t) {
        double dot = 0;
        for (int d = 0; d < dim; ++d) dot += value(q[d]) * value(keys[t][d]);
        total += weight[t] = std::exp(dot / std::sqrt(dim));
      }
      for (size_t t = 0; t < keys.size(); ++t) {
        for (int d = 0; d < dim; ++d) sum[d] += weight[t] / total * value(values[t][d]);
      }
      expected.insert(expected.end(), sum.begin(), sum.end());
      for (int d = 0; d < dim; ++d) actual.push_back(value(got[(i * c.group + h) * dim + d]));
    }
  }
  CHECK(relative_error(actual, expected) < tolerance(1e-2, 1e-5));
}

}  // namespace

TEST_CASE("cuda attend: every head_dim and query group, ragged lengths, with and without chunks") {
  NEEDS_GPU();
  uint64_t seed = 1;
  for (const int head_dim : {64, 96, 128}) {
    for (const int group : {1, 2, 4, 7, 8, 16}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      check({head_dim, 2, group, 8, {1, 63, 130, 1025}, {0, 1, 5, 3}, {0, 0, 0, 0}}, seed++);
      check({head_dim, 3, group, 8, {40, 33}, {1, 7}, {20, 3}}, seed++);
      check({head_dim, 1, group, 16, {500, 17, 1}, {2, 40, 1}, {64, 1, 0}}, seed++);
    }
  }
}

TEST_CASE("cuda attend: a sequence's result does not depend on the batch around it") {
  NEEDS_GPU();
  check({128, 8, 4, 8, {417, 2080, 9}, {1, 300, 2}, {256, 100, 0}}, 77);
}

TEST_CASE("cuda attend: long and short sequences, which are split in different ways") {
  NEEDS_GPU();
  check({64, 1, 4, 8, {16384, 16385, 20000}, {0, 0, 7}, {0, 0, 0}}, 78);
  check({128, 1, 2, 16, {300, 16300}, {5, 80}, {40, 30}}, 79);
}
