#include "addon/progress_throttle.h"

#include <doctest/doctest.h>

namespace gnomon {

namespace {

using std::chrono::milliseconds;

Progress generated(int64_t tokens) { return {Progress::Phase::decode, 10, 10, tokens}; }

TEST_CASE("progress is due at first, then once per interval") {
  ProgressThrottle throttle;
  const ProgressThrottle::Time start{};
  CHECK(throttle.due(generated(1), start));
  CHECK_FALSE(throttle.due(generated(2), start + milliseconds(99)));
  CHECK(throttle.due(generated(3), start + milliseconds(100)));
  CHECK_FALSE(throttle.due(generated(4), start + milliseconds(199)));
  CHECK(throttle.due(generated(5), start + milliseconds(450)));
}

TEST_CASE("the newest progress held back is given out once") {
  ProgressThrottle throttle;
  const ProgressThrottle::Time start{};
  CHECK_FALSE(throttle.take_held_back());
  throttle.due(generated(1), start);
  CHECK_FALSE(throttle.take_held_back());
  throttle.due(generated(2), start + milliseconds(1));
  throttle.due(generated(3), start + milliseconds(2));
  const auto last = throttle.take_held_back();
  REQUIRE(last);
  CHECK(last->generated_tokens == 3);
  CHECK_FALSE(throttle.take_held_back());
}

}  // namespace

}  // namespace gnomon
