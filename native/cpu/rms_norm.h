#pragma once
#include "cpu/cpu_backend.h"
#include "cpu/weights.h"

namespace gnomon::cpu {

/// Backend::rms_norm. out may be x.
void rms_norm(Context& context, Matrix x, const TableWeight& gain, double eps, Matrix out);

/// Backend::norm_heads.
void norm_heads(Context& context, Matrix qkv, const TableWeight& query_gain,
                const TableWeight& key_gain, double eps);

}  // namespace gnomon::cpu
