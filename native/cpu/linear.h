#pragma once
#include "cpu/cpu_backend.h"
#include "cpu/weights.h"

namespace gnomon::cpu {

/// Backend::linear.
void linear(Context& context, Matrix x, const LinearWeight& weight, Matrix out);
/// Backend::linear_add.
void linear_add(Context& context, Matrix x, const LinearWeight& weight, Matrix out);

}  // namespace gnomon::cpu
