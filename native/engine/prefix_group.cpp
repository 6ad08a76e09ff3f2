#include "engine/prefix_group.h"

#include <algorithm>

namespace gnomon {

namespace {

struct Likeness {
  size_t index;
  int64_t shared;  // with the leader
  int64_t length;
};

bool is_worth_it(int64_t shared, int64_t longest) {
  return shared >= kLeastSharedTokens && 2 * shared >= longest;
}

}  // namespace

int64_t shared_tokens(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  const size_t most = std::min(a.size(), b.size());
  if (most == 0) return 0;
  const auto end = std::mismatch(a.begin(), a.begin() + most - 1, b.begin()).first;
  return end - a.begin();
}

PrefixGroup choose_prefix_group(std::span<const uint32_t> leader,
                                std::span<const std::span<const uint32_t>> others, int64_t most) {
  int64_t longest = static_cast<int64_t>(leader.size());
  std::vector<Likeness> alike;
  for (size_t i = 0; i < others.size(); ++i) {
    const int64_t shared = shared_tokens(leader, others[i]);
    const auto length = static_cast<int64_t>(others[i].size());
    if (is_worth_it(shared, std::max(longest, length))) alike.push_back({i, shared, length});
  }
  // With the likest first, every group to consider is a beginning of this list.
  std::ranges::stable_sort(alike, std::ranges::greater{}, &Likeness::shared);
  if (static_cast<int64_t>(alike.size()) > most) alike.resize(std::max<int64_t>(most, 0));
  PrefixGroup best;
  size_t count = 0;
  for (size_t n = 1; n <= alike.size(); ++n) {
    const Likeness& last = alike[n - 1];
    longest = std::max(longest, last.length);
    if (!is_worth_it(last.shared, longest)) continue;
    if (static_cast<int64_t>(n) * last.shared <= static_cast<int64_t>(count) * best.shared)
      continue;
    count = n;
    best.shared = last.shared;
  }
  for (size_t i = 0; i < count; ++i) best.members.push_back(alike[i].index);
  std::ranges::sort(best.members);
  return best;
}

}  // namespace gnomon
