#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/check.h"
#include "cuda/linear.h"

namespace gnomon::cuda {

/// The streams that the parts of a decode step run on; everything else runs on the first. That one
/// goes before the second, so that two parts drift apart: while the first waits for its values the
/// second computes, and it fills what the first leaves of the device.
class Lanes {
 public:
  static constexpr int64_t kCount = 2;

  explicit Lanes(size_t workspace_bytes)
      : linears_{Linear(workspace_bytes), Linear(workspace_bytes)} {
    int lowest = 0, highest = 0;
    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
    for (int64_t i = 0; i < kCount; ++i) {
      // The highest is for the values on their way.
      const int priority = i == 0 && highest < lowest ? highest + 1 : lowest;
      CUDA_CHECK(cudaStreamCreateWithPriority(&streams_[i], cudaStreamNonBlocking, priority));
      CUDA_CHECK(cudaEventCreateWithFlags(&events_[i], cudaEventDisableTiming));
    }
  }
  ~Lanes() {
    for (int64_t i = 0; i < kCount; ++i) {
      cudaEventDestroy(events_[i]);
      cudaStreamDestroy(streams_[i]);
    }
  }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  cudaStream_t first() const { return streams_[0]; }
  cudaStream_t stream() const { return streams_[current_]; }
  Linear& linear() { return linears_[current_]; }

  void use(int64_t lane) { current_ = lane; }
  /// The second lane comes after what the first has been given, and the other way round.
  void fork() { order(0, 1); }
  void join() { order(1, 0); }

 private:
  void order(int64_t before, int64_t after) {
    CUDA_CHECK(cudaEventRecord(events_[before], streams_[before]));
    CUDA_CHECK(cudaStreamWaitEvent(streams_[after], events_[before]));
  }

  cudaStream_t streams_[kCount] = {};
  cudaEvent_t events_[kCount] = {};
  Linear linears_[kCount];
  int64_t current_ = 0;
};

}  // namespace gnomon::cuda
