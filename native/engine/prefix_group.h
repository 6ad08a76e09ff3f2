#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gnomon {

/// Prompts that begin alike, to be prefilled together.
struct PrefixGroup {
  int64_t shared = 0;           // first tokens that all of them have; computed once
  std::vector<size_t> members;  // indices of the others beside the leader, ascending
};

/// Shorter beginnings are not worth a group.
constexpr int64_t kLeastSharedTokens = 256;

/// How many first tokens a and b have in common, less one where that is all of either: the last
/// token of a prompt is its own, as what follows it is.
int64_t shared_tokens(std::span<const uint32_t> a, std::span<const uint32_t> b);

/// The group around `leader`, of at most `most` others, that saves the most tokens. What is shared
/// is at least half of every prompt in it, so that nobody waits long for the rest of another's.
/// Without members if none is worth it.
PrefixGroup choose_prefix_group(std::span<const uint32_t> leader,
                                std::span<const std::span<const uint32_t>> others, int64_t most);

}  // namespace gnomon
