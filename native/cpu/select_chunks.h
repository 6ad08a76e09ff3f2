#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// selected (count) = indices of the `count` largest of scores[0, num_scores), ascending; of equal
/// scores the lower index wins. scores is readable, and -infinity, up to a multiple of 16.
void select_chunks(const float* scores, int64_t num_scores, int64_t count, int32_t* selected);

}  // namespace gnomon::cpu
