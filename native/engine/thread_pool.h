#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gnomon {

/// A fixed team of threads for loops of independent iterations. The calling thread is one of them.
/// Not reentrant, and used from one thread only.
class ThreadPool {
 public:
  explicit ThreadPool(int64_t threads);  // 0: as available_cores() says
  ~ThreadPool();

  int64_t size() const { return static_cast<int64_t>(workers_.size()) + 1; }

  /// Runs body(index, worker) for every index in [0, count), in any order, and waits for all;
  /// worker is in [0, size()). Indices are handed out one by one, so give each enough work.
  /// body must not throw.
  void parallel_for(int64_t count, const std::function<void(int64_t, int64_t)>& body);

 private:
  void run_worker(int64_t worker);
  void take_indices(int64_t worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> round_{0};  // one per parallel_for; workers wait for it to change
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> next_{0};
  std::atomic<bool> open_{false};   // workers may join the loop
  std::atomic<int64_t> inside_{0};  // workers that may be reading body_
  int64_t count_ = 0;
  const std::function<void(int64_t, int64_t)>* body_ = nullptr;
};

}  // namespace gnomon
