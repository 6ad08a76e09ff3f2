#pragma once
#include <span>

#include "cpu/cpu_backend.h"
#include "cpu/weights.h"

namespace gnomon::cpu {

/// Backend::embed.
void embed(std::span<const uint32_t> tokens, const TableWeight& table, Matrix out);

}  // namespace gnomon::cpu
