// One block a row.

#include <cub/block/block_reduce.cuh>

#include "cuda/check.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 1024;

struct Best {
  float value;
  uint32_t index;
};

struct First {
  __device__ Best operator()(Best a, Best b) const {
    return a.value > b.value || (a.value == b.value && a.index < b.index) ? a : b;
  }
};

__global__ void __launch_bounds__(kThreads)
    find_largest(const float* logits, int64_t vocab_size, uint32_t* tokens) {
  using Reduce = cub::BlockReduce<Best, kThreads>;
  __shared__ Reduce::TempStorage storage;
  logits += blockIdx.x * vocab_size;
  Best best{-INFINITY, 0};  // a valid token even where every logit is NaN
  for (int64_t i = threadIdx.x; i < vocab_size; i += kThreads) {
    best = First()(best, {logits[i], static_cast<uint32_t>(i)});
  }
  best = Reduce(storage).Reduce(best, First());
  if (threadIdx.x == 0) tokens[blockIdx.x] = best.index;
}

}  // namespace

void arg_max(const float* logits, int64_t rows, int64_t vocab_size, uint32_t* tokens,
             cudaStream_t stream) {
  find_largest<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(logits, vocab_size, tokens);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
