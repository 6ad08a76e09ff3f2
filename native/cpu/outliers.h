#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace gnomon::cpu {

/// The `count` chunks whose landmark fits worst, ascending: smallest minimum cosine, of equal ones
/// the earlier. Chunk 0, which holds the attention sink, is always among them.
std::vector<int32_t> pick_outliers(std::span<const float> min_cosines, int64_t count);

}  // namespace gnomon::cpu
