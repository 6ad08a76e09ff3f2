#include "cuda/check.h"
#include "cuda/steer_queries.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void steer(const float* inertia, Element* before, Element* query, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float own = sqrtf(1.0f - *inertia * *inertia);
  const Element mixed = to_element(*inertia * to_float(before[i]) + own * to_float(query[i]));
  before[i] = mixed;
  query[i] = mixed;
}

}  // namespace

void steer_queries(const float* inertia, Element* before, Element* query, int64_t count,
                   cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  steer<<<blocks, kThreads, 0, stream>>>(inertia, before, query, count);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
