#pragma once
#include "cpu/cpu_backend.h"

namespace gnomon::cpu {

/// Backend::prefill_attention. A row's result does not depend, bit for bit, on how the prompt is
/// cut into calls or on the number of threads.
void prefill_attention(Context& context, Matrix query, int64_t first, Matrix key, Matrix value,
                       Matrix out);

}  // namespace gnomon::cpu
