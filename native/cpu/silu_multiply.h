#pragma once
#include "cpu/cpu_backend.h"

namespace gnomon::cpu {

/// Backend::silu_multiply.
void silu_multiply(Context& context, Matrix gate_up, Matrix out);

}  // namespace gnomon::cpu
