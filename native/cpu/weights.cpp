#include "cpu/weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
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

/// Rows [first, first + w.shape[0]) of the packed weight.
void pack_rows(const HostTensor& w, int64_t first, LinearWeight& packed) {
  std::vector<float> values(packed.in);
  for (int64_t i = 0; i < w.shape[0]; ++i) {
    to_floats(w, i * packed.in, packed.in, values.data());
    const int64_t panel = (first + i) / kTileWidth, lane = (first + i) % kTileWidth;
    float* column = packed.panels.floats() + panel * packed.in * kTileWidth + lane;
    for (int64_t k = 0; k < packed.in; ++k) column[k * kTileWidth] = values[k];
  }
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

std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
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
  for (const HostTensor& w : weights) {
    pack_rows(w, first, *packed);
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

std::unique_ptr<Weight> load_table(const HostTensor& tensor) {
  auto table = std::make_unique<TableWeight>();
  table->cols = tensor.shape.back();
  table->rows = tensor.shape.size() == 1 ? 1 : tensor.shape[0];
  table->values = MemoryBlock(table->rows * table->cols * sizeof(float));
  to_floats(tensor, 0, table->rows * table->cols, table->values.floats());
  return table;
}

}  // namespace gnomon::cpu
