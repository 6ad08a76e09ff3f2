#include "engine/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

using namespace gnomon;

TEST_CASE("thread pool: every index runs once, on a worker of the team") {
  for (const int64_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    REQUIRE(pool.size() == threads);
    for (const int64_t count : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> runs(count);
      std::atomic<bool> strangers{false};
      pool.parallel_for(count, [&](int64_t index, int64_t worker) {
        ++runs[index];
        if (worker < 0 || worker >= threads) strangers = true;
      });
      for (const auto& times : runs) CHECK(times == 1);
      CHECK_FALSE(strangers);
    }
  }
}

TEST_CASE("thread pool: short loops one after the other never mix") {
  ThreadPool pool(4);  // more threads than some machines have cores: workers come late
  int64_t wrong = 0;
  for (int64_t loop = 0; loop < 20000; ++loop) {
    std::vector<int64_t> results(1 + loop % 7, -1);
    pool.parallel_for(results.size(),
                      [&results, loop](int64_t index, int64_t) { results[index] = loop + index; });
    for (size_t i = 0; i < results.size(); ++i) {
      wrong += results[i] != loop + static_cast<int64_t>(i);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: what the loop wrote is visible after it, also after the workers slept") {
  ThreadPool pool(3);
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::vector<int64_t> values(10000);
    pool.parallel_for(values.size(), [&](int64_t index, int64_t) { values[index] = index; });
    CHECK(std::accumulate(values.begin(), values.end(), int64_t{0}) == 49995000);
  }
}
