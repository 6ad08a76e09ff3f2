#include "cpu/outliers.h"

#include <algorithm>
#include <numeric>

namespace gnomon::cpu {

std::vector<int32_t> pick_outliers(std::span<const float> min_cosines, int64_t count) {
  if (count == 0) return {};
  std::vector<int32_t> chunks(min_cosines.size());
  std::iota(chunks.begin(), chunks.end(), 0);
  const auto worse = [&](int32_t a, int32_t b) {
    if (min_cosines[a] != min_cosines[b]) return min_cosines[a] < min_cosines[b];
    return a < b;
  };
  // Chunk 0 stays in front; the rest competes for the other places.
  std::nth_element(chunks.begin() + 1, chunks.begin() + count, chunks.end(), worse);
  chunks.resize(count);
  std::sort(chunks.begin(), chunks.end());
  return chunks;
}

}  // namespace gnomon::cpu
