#include "engine/prefix_group.h"

#include <doctest/doctest.h>

#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

/// `shared` tokens of one text, then `own` of another.
std::vector<uint32_t> text(int64_t shared, int64_t own, uint64_t seed) {
  std::vector<uint32_t> tokens = random_tokens(shared, 1);
  for (int64_t i = 0; i < own; ++i) tokens.push_back(static_cast<uint32_t>(1000 * seed + i));
  return tokens;
}

PrefixGroup choose(const std::vector<uint32_t>& leader,
                   const std::vector<std::vector<uint32_t>>& others, int64_t most = 100) {
  const std::vector<std::span<const uint32_t>> spans(others.begin(), others.end());
  return choose_prefix_group(leader, spans, most);
}

}  // namespace

TEST_CASE("prefix group: two prompts share what they begin with, but for a last token of each") {
  const std::vector<uint32_t> a{1, 2, 3, 4}, b{1, 2, 9}, c{7};
  CHECK(shared_tokens(a, b) == 2);
  CHECK(shared_tokens(a, a) == 3);
  CHECK(shared_tokens(a, std::span(a).first(2)) == 1);
  CHECK(shared_tokens(a, c) == 0);
  CHECK(shared_tokens(a, {}) == 0);
}

TEST_CASE("prefix group: a beginning that is short, or small beside the rest, makes no group") {
  CHECK(choose(text(kLeastSharedTokens - 1, 5, 2), {text(kLeastSharedTokens - 1, 5, 3)})
            .members.empty());
  CHECK(choose(text(kLeastSharedTokens, 5, 2), {text(kLeastSharedTokens, 5, 3)}).members.size() ==
        1);
  CHECK(choose(text(300, 5, 2), {text(300, 400, 3)}).members.empty());
  CHECK(choose(text(300, 400, 2), {text(300, 5, 3)}).members.empty());
}

TEST_CASE("prefix group: one that shares less does not spoil what many share") {
  const std::vector<std::vector<uint32_t>> others{text(1000, 5, 3), text(600, 5, 4),
                                                  text(1000, 7, 5), text(1000, 2, 6)};
  const PrefixGroup group = choose(text(1000, 9, 2), others);
  CHECK(group.members == std::vector<size_t>{0, 2, 3});
  CHECK(group.shared == 1000);
}

TEST_CASE("prefix group: many that share less are worth more than one that shares all") {
  const std::vector<std::vector<uint32_t>> others{text(800, 5, 3), text(1000, 5, 4),
                                                  text(800, 7, 5), text(800, 2, 6)};
  const PrefixGroup group = choose(text(1000, 9, 2), others);
  CHECK(group.members == std::vector<size_t>{0, 1, 2, 3});
  CHECK(group.shared == 800);
}

TEST_CASE("prefix group: no more than asked for") {
  const std::vector<std::vector<uint32_t>> others{text(500, 5, 3), text(500, 5, 4),
                                                  text(500, 7, 5)};
  CHECK(choose(text(500, 9, 2), others, 2).members == std::vector<size_t>{0, 1});
  CHECK(choose(text(500, 9, 2), others, 0).members.empty());
}
