#include "cuda/check.h"
#include "cuda/steer_queries.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = 256;

/// 1 or -1, by the finaliser of MurmurHash3.
__device__ float random_sign(uint32_t i, uint32_t step) {
  uint32_t hash = i ^ step * 0x9e3779b9u;
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return (hash ^ hash >> 16) & 1 ? 1.0f : -1.0f;
}

__global__ void steer(const float* inertia, const int32_t* step, Element* before, Element* query,
                      int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float own = sqrtf(1.0f - *inertia * *inertia) *
                    random_sign(static_cast<uint32_t>(i), static_cast<uint32_t>(*step));
  const Element mixed = to_element(*inertia * to_float(before[i]) + own * to_float(query[i]));
  before[i] = mixed;
  query[i] = mixed;
}

}  // namespace

void steer_queries(const float* inertia, const int32_t* step, Element* before, Element* query,
                   int64_t count, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  steer<<<blocks, kThreads, 0, stream>>>(inertia, step, before, query, count);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
