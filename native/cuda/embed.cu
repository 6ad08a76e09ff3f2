// One block a token copies its row of the table, 16 bytes a thread at a time.

#include "cuda/check.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

__global__ void gather_rows(const uint32_t* tokens, const uint4* table, uint4* out, int pieces) {
  const uint4* source = table + static_cast<int64_t>(tokens[blockIdx.x]) * pieces;
  uint4* target = out + static_cast<int64_t>(blockIdx.x) * pieces;
  for (int i = threadIdx.x; i < pieces; i += blockDim.x) target[i] = source[i];
}

}  // namespace

void embed(const uint32_t* tokens, int64_t count, const Element* table, int64_t hidden_size,
           Element* out, cudaStream_t stream) {
  gather_rows<<<static_cast<unsigned>(count), 128, 0, stream>>>(
      tokens, reinterpret_cast<const uint4*>(table), reinterpret_cast<uint4*>(out),
      static_cast<int>(hidden_size / kPieceElements));
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
