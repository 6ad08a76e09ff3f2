#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace gnomon::cuda {

/// The parts that a decode step is cut into, as indices: two where values on the host are long
/// enough on the way for the other part to compute meanwhile, though the weights are read twice.
/// Both then have about as many values on the way, and about as many sequences. host_bytes: of each
/// sequence, the selected values that lie on the host; 0 where none do.
std::vector<std::vector<int64_t>> cut_step(std::span<const int64_t> host_bytes,
                                           int64_t weight_bytes);

}  // namespace gnomon::cuda
