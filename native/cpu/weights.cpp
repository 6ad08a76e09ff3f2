#include "cpu/weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "cpu/tile_width.h"

namespace gnomon::cpu {

namespace {

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  }
  // Placed in a float's fields the exponent is 112 too low; the product also makes subnormals
  // whole.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

template <float (*convert)(uint16_t)>
void convert_all(const std::byte* data, int64_t count, float* out) {
  std::transform(reinterpret_cast<const uint16_t*>(data),
                 reinterpret_cast<const uint16_t*>(data) + count, out, convert);
}

constexpr int64_t kBlockRows = 64;

/// Calls body(first, count, worker) for blocks of rows that make up [0, rows).
void for_blocks(ThreadPool& pool, int64_t rows,
                const std::function<void(int64_t, int64_t, int64_t)>& body) {
  pool.parallel_for((rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int64_t worker) {
    const int64_t first = block * kBlockRows;
    body(first, std::min(kBlockRows, rows - first), worker);
  });
}

/// Row `row` of w becomes row `place` of the packed weight. `values`: room for one.
void pack_row(const HostTensor& w, int64_t row, int64_t place, LinearWeight& packed,
              float* values) {
  to_floats(w, row * packed.in, packed.in, values);
  const int64_t panel = place / kTileWidth, lane = place % kTileWidth;
  float* column = packed.panels.floats() + panel * packed.in * kTileWidth + lane;
  for (int64_t k = 0; k < packed.in; ++k) column[k * kTileWidth] = values[k];
}

}  // namespace

void to_floats(const HostTensor& tensor, int64_t first, int64_t count, float* out) {
  const std::byte* data = tensor.data + first * dtype_bytes(tensor.dtype);
  switch (tensor.dtype) {
    case DType::f32:
      std::memcpy(out, data, count * sizeof(float));
      break;
    case DType::f16:
      convert_all<from_f16>(data, count, out);
      break;
    case DType::bf16:
      convert_all<from_bf16>(data, count, out);
      break;
  }
}

std::unique_ptr<Weight> load_linear(ThreadPool& pool, std::span<const HostTensor> weights,
                                    std::span<const HostTensor> biases) {
  auto packed = std::make_unique<LinearWeight>();
  packed->in = weights[0].shape[1];
  for (const HostTensor& w : weights) packed->out += w.shape[0];
  const int64_t panels = (packed->out + kTileWidth - 1) / kTileWidth;
  const int64_t count = panels * packed->in * kTileWidth;
  packed->panels = MemoryBlock(count * sizeof(float));
  std::fill_n(packed->panels.floats() + count - packed->in * kTileWidth, packed->in * kTileWidth,
              0.f);
  int64_t first = 0;
  std::vector<float> scratch(pool.size() * packed->in);
  for (const HostTensor& w : weights) {
    for_blocks(pool, w.shape[0], [&](int64_t begin, int64_t count, int64_t worker) {
      float* values = scratch.data() + worker * packed->in;
      for (int64_t i = begin; i < begin + count; ++i) pack_row(w, i, first + i, *packed, values);
    });
    first += w.shape[0];
  }
  if (biases.empty()) return packed;
  packed->bias = MemoryBlock(packed->out * sizeof(float));
  first = 0;
  for (const HostTensor& b : biases) {
    to_floats(b, 0, b.shape[0], packed->bias.floats() + first);
    first += b.shape[0];
  }
  return packed;
}

std::unique_ptr<Weight> load_table(ThreadPool& pool, const HostTensor& tensor) {
  auto table = std::make_unique<TableWeight>();
  table->cols = tensor.shape.back();
  table->rows = tensor.shape.size() == 1 ? 1 : tensor.shape[0];
  table->values = MemoryBlock(table->rows * table->cols * sizeof(float));
  for_blocks(pool, table->rows, [&](int64_t first, int64_t count, int64_t) {
    const int64_t begin = first * table->cols;
    to_floats(tensor, begin, count * table->cols, table->values.floats() + begin);
  });
  return table;
}

}  // namespace gnomon::cpu
