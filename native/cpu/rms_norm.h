#pragma once
#include "cpu/cpu_backend.h"
#include "cpu/weights.h"

namespace gnomon::cpu {

/// Backend::rms_norm. out may be x.
void rms_norm(Context& context, Matrix x, const TableWeight& gain, double eps, Matrix out);

}  // namespace gnomon::cpu
