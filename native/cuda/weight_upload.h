#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cuda/element.h"
#include "cuda/memory.h"
#include "engine/tensor.h"

namespace gnomon::cuda {

/// Takes tensors to device memory as elements. Threads read pieces of them into pinned buffers of
/// their own, from the file where there is one with the same elements (a mapping costs a page fault
/// every few pages), and send one buffer off while they fill the other.
class WeightUpload {
 public:
  WeightUpload();
  /// Waits for what is on its way.
  ~WeightUpload();
  WeightUpload(const WeightUpload&) = delete;
  WeightUpload& operator=(const WeightUpload&) = delete;

  /// From element `first` of target on. Returns once the rest fits the queue: the tensor's data
  /// stays until finish, by its owner or otherwise. Throws what went wrong with an earlier tensor.
  void add(const HostTensor& tensor, std::shared_ptr<DeviceBlock> target, int64_t first);
  /// Waits until everything has arrived. Throws what went wrong. The last call.
  void finish();

 private:
  struct Piece {
    std::shared_ptr<const HostTensor> tensor;
    int64_t first, count;  // elements
    std::shared_ptr<DeviceBlock> target;
    Element* out;
  };
  class Lane;

  void run() noexcept;
  std::optional<Piece> take();
  void join();

  int device_ = 0;
  std::vector<std::thread> threads_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_, room_;
  std::deque<Piece> queue_;
  std::exception_ptr error_;  // the first
  bool finishing_ = false;
};

}  // namespace gnomon::cuda
