// Landmarks and cosines: one warp a chunk and KV head. Outliers: one block a KV head. The rest
// moves rows from (token, head) order to (head, token) order.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/radix_select.cuh"
#include "cuda/summarise_kernels.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 8;

__device__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  return value;
}

/// Lane l holds dimensions l, l + 32, ...; head_dim is at most 128.
__global__ void __launch_bounds__(kWarps * 32)
    summarise_chunks(PromptShape shape, const __nv_bfloat16* keys, __nv_bfloat16* landmarks,
                     float* cosines) {
  constexpr int kMaxPieces = 4;
  const int64_t chunk = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int head = blockIdx.y, lane = threadIdx.x % 32;
  if (chunk >= shape.num_chunks) return;
  const int pieces = shape.head_dim / 32;
  const int64_t width = static_cast<int64_t>(shape.num_kv_heads) * shape.head_dim;
  const __nv_bfloat16* rows =
      keys + chunk * shape.chunk_size * width + head * shape.head_dim + lane;

  float mean[kMaxPieces] = {};
  for (int t = 0; t < shape.chunk_size; ++t) {
    for (int i = 0; i < pieces; ++i) mean[i] += __bfloat162float(rows[t * width + i * 32]);
  }
  float mean_squares = 0;
  for (int i = 0; i < pieces; ++i) {
    mean[i] /= shape.chunk_size;
    mean_squares += mean[i] * mean[i];
  }
  mean_squares = warp_sum(mean_squares);
  float smallest = INFINITY;
  for (int t = 0; t < shape.chunk_size; ++t) {
    float dot = 0, squares = 0;
    for (int i = 0; i < pieces; ++i) {
      const float value = __bfloat162float(rows[t * width + i * 32]);
      dot += value * mean[i];
      squares += value * value;
    }
    dot = warp_sum(dot);
    squares = warp_sum(squares);
    const float norm = sqrtf(squares * mean_squares);
    smallest = fminf(smallest, norm > 0 ? dot / norm : 0.f);
  }
  const int64_t out = head * shape.num_chunks + chunk;
  for (int i = 0; i < pieces; ++i) {
    landmarks[out * shape.head_dim + i * 32 + lane] = __float2bfloat16(mean[i]);
  }
  if (lane == 0) cosines[out] = smallest;
}

__global__ void __launch_bounds__(kSelectThreads)
    pick_outliers(PromptShape shape, const float* cosines, int count, uint32_t* ranks,
                  uint32_t* bitmap, int32_t* chunks) {
  __shared__ SelectShared shared;
  const int head = blockIdx.x, n = static_cast<int>(shape.num_chunks);
  const int words = (n + 31) / 32;
  cosines += static_cast<int64_t>(head) * n;
  ranks += static_cast<int64_t>(head) * n;
  bitmap += static_cast<int64_t>(head) * words;
  chunks += static_cast<int64_t>(head) * count;
  for (int i = threadIdx.x; i < words; i += kSelectThreads) bitmap[i] = 0;
  if (count == 0) return;
  for (int c = threadIdx.x; c < n; c += kSelectThreads) {
    ranks[c] = c == 0 ? ~0u : ordered_bits(-cosines[c]);
  }
  __syncthreads();
  find_threshold(ranks, n, count, shared);
  const uint32_t threshold = shared.threshold;
  const int equal_taken = shared.equal_taken;
  int taken = 0, equal_seen = 0;
  for (int base = 0; base < n; base += kSelectThreads) {
    const int c = base + threadIdx.x;
    const uint32_t rank = c < n ? ranks[c] : 0;
    const int equal = c < n && rank == threshold;
    int equal_before, equal_sum;
    SelectScan(shared.scan).ExclusiveSum(equal, equal_before, equal_sum);
    __syncthreads();
    const int chosen =
        c < n && (rank > threshold || (equal && equal_seen + equal_before < equal_taken));
    equal_seen += equal_sum;
    int before, sum;
    SelectScan(shared.scan).ExclusiveSum(chosen, before, sum);
    __syncthreads();
    if (chosen) {
      chunks[taken + before] = c;
      atomicOr(&bitmap[c / 32], 1u << (c % 32));
    }
    taken += sum;
  }
}

__global__ void transpose_rows(PromptShape shape, const __nv_bfloat16* source, int64_t first,
                               __nv_bfloat16* out, int64_t out_stride) {
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y;
  const int64_t from =
      ((first + row) * shape.num_kv_heads + head) * shape.head_dim + threadIdx.x * 8;
  *reinterpret_cast<uint4*>(out + head * out_stride + row * shape.head_dim + threadIdx.x * 8) =
      *reinterpret_cast<const uint4*>(source + from);
}

__global__ void transpose_chunks(PromptShape shape, const __nv_bfloat16* source,
                                 const int32_t* chunks, int count, __nv_bfloat16* out,
                                 int64_t out_stride) {
  const int row = blockIdx.x, head = blockIdx.y;
  const int64_t token =
      static_cast<int64_t>(chunks[head * count + row / shape.chunk_size]) * shape.chunk_size +
      row % shape.chunk_size;
  *reinterpret_cast<uint4*>(out + head * out_stride + static_cast<int64_t>(row) * shape.head_dim +
                            threadIdx.x * 8) =
      *reinterpret_cast<const uint4*>(
          source + (token * shape.num_kv_heads + head) * shape.head_dim + threadIdx.x * 8);
}

__global__ void split_vectors(const float* vectors, int key_width, int head_dim, int rank,
                              __nv_bfloat16* basis, __nv_bfloat16* projection) {
  const int r = blockIdx.x;
  const float* vector = vectors + static_cast<int64_t>(key_width - 1 - r) * key_width;
  for (int c = threadIdx.x; c < key_width; c += blockDim.x) {
    const __nv_bfloat16 value = __float2bfloat16(vector[c]);
    basis[(static_cast<int64_t>(c / head_dim) * rank + r) * head_dim + c % head_dim] = value;
    projection[static_cast<int64_t>(r) * key_width + c] = value;
  }
}

}  // namespace

void make_landmarks(const PromptShape& shape, const __nv_bfloat16* keys, __nv_bfloat16* landmarks,
                    float* cosines, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((shape.num_chunks + kWarps - 1) / kWarps),
                  shape.num_kv_heads);
  summarise_chunks<<<grid, kWarps * 32, 0, stream>>>(shape, keys, landmarks, cosines);
  CUDA_CHECK(cudaGetLastError());
}

void select_outliers(const PromptShape& shape, const float* cosines, int32_t count, uint32_t* ranks,
                     uint32_t* bitmap, int32_t* chunks, cudaStream_t stream) {
  pick_outliers<<<shape.num_kv_heads, kSelectThreads, 0, stream>>>(shape, cosines, count, ranks,
                                                                   bitmap, chunks);
  CUDA_CHECK(cudaGetLastError());
}

void copy_rows(const PromptShape& shape, const __nv_bfloat16* source, int64_t first, int64_t count,
               __nv_bfloat16* out, int64_t out_stride, cudaStream_t stream) {
  if (count == 0) return;
  const dim3 grid(static_cast<unsigned>(count), shape.num_kv_heads);
  transpose_rows<<<grid, shape.head_dim / 8, 0, stream>>>(shape, source, first, out, out_stride);
  CUDA_CHECK(cudaGetLastError());
}

void copy_chunks(const PromptShape& shape, const __nv_bfloat16* source, const int32_t* chunks,
                 int32_t count, __nv_bfloat16* out, int64_t out_stride, cudaStream_t stream) {
  if (count == 0) return;
  const dim3 grid(count * shape.chunk_size, shape.num_kv_heads);
  transpose_chunks<<<grid, shape.head_dim / 8, 0, stream>>>(shape, source, chunks, count, out,
                                                            out_stride);
  CUDA_CHECK(cudaGetLastError());
}

void make_basis(const float* vectors, int32_t key_width, int32_t head_dim, int32_t rank,
                __nv_bfloat16* basis, __nv_bfloat16* projection, cudaStream_t stream) {
  split_vectors<<<rank, 256, 0, stream>>>(vectors, key_width, head_dim, rank, basis, projection);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
