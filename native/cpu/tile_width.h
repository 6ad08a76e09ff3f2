#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// Columns of a tile of the matrix product, and floats in a row of packed weights: four AVX-512
/// vectors. The same for every instruction set, so packing does not depend on it.
constexpr int64_t kTileWidth = 64;

}  // namespace gnomon::cpu
