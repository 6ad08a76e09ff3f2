#include "engine/thread_pool.h"

#include <chrono>

#include "engine/available_cores.h"

namespace gnomon {

namespace {

// Decode steps are a few milliseconds of many short loops: a worker that slept between them would
// cost more than the loop. It spins this long for the next one, then sleeps.
constexpr auto kSpin = std::chrono::microseconds(50);

template <typename Predicate>
bool spin_until(Predicate done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    for (int i = 0; i < 16; ++i) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }
  return true;
}

}  // namespace

ThreadPool::ThreadPool(int64_t threads) {
  const int64_t team = threads > 0 ? threads : available_cores();
  for (int64_t worker = 1; worker < team; ++worker) {
    workers_.emplace_back([this, worker] { run_worker(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    round_.fetch_add(1);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  if (count == 1 || workers_.empty()) {
    for (int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  body_ = &body;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  open_.store(true);
  {
    std::lock_guard lock(mutex_);
    round_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  take_indices(0);
  // A worker that has not come by now is not waited for: on a busy machine it may be long. Either
  // it sees that the loop is closed or it is seen inside, so it never reads what has ended.
  open_.store(false);
  const auto all_left = [this] { return inside_.load() == 0; };
  while (!spin_until(all_left)) std::this_thread::yield();
}

void ThreadPool::run_worker(int64_t worker) {
  uint64_t seen = 0;
  while (true) {
    const auto started = [&] { return round_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(started)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, started);
    }
    if (stop_) return;
    seen = round_.load(std::memory_order_acquire);
    inside_.fetch_add(1);
    if (open_.load()) take_indices(worker);
    inside_.fetch_sub(1);
  }
}

void ThreadPool::take_indices(int64_t worker) {
  while (true) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    (*body_)(index, worker);
  }
}

}  // namespace gnomon
