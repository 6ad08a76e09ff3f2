// Landmarks and cosines: one warp a chunk and KV head. Outliers: one block a KV head. The rest
// moves rows from (token, head) order to (head, token) order.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/landmarks.h"
#include "cuda/radix_select.cuh"
#include "cuda/summarise_kernels.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kWarpChunks = 16;  // that a warp takes behind each other

__device__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  return value;
}

/// Mean key of a chunk and KV head. Lane l holds dimensions l, l + 32, ...; head_dim is at most
/// 128.
struct ChunkMean {
  static constexpr int kMaxPieces = 4;
  const Element* rows;  // of this lane
  int64_t width;
  int pieces;
  float at[kMaxPieces] = {};

  __device__ ChunkMean(const PromptShape& shape, const Element* keys, int64_t chunk, int head)
      : width(static_cast<int64_t>(shape.num_kv_heads) * shape.head_dim),
        pieces(shape.head_dim / 32) {
    rows = keys + chunk * shape.chunk_size * width + head * shape.head_dim + threadIdx.x % 32;
    for (int t = 0; t < shape.chunk_size; ++t) {
      for (int i = 0; i < pieces; ++i) at[i] += to_float(rows[t * width + i * 32]);
    }
    for (int i = 0; i < pieces; ++i) at[i] /= shape.chunk_size;
  }
};

__global__ void __launch_bounds__(kWarps * 32)
    compare_to_mean(PromptShape shape, const Element* keys, float* cosines) {
  const int64_t chunk = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int head = blockIdx.y;
  if (chunk >= shape.num_chunks) return;
  const ChunkMean mean(shape, keys, chunk, head);
  float mean_squares = 0;
  for (int i = 0; i < mean.pieces; ++i) mean_squares += mean.at[i] * mean.at[i];
  mean_squares = warp_sum(mean_squares);
  float smallest = INFINITY;
  for (int t = 0; t < shape.chunk_size; ++t) {
    float dot = 0, squares = 0;
    for (int i = 0; i < mean.pieces; ++i) {
      const float value = to_float(mean.rows[t * mean.width + i * 32]);
      dot += value * mean.at[i];
      squares += value * value;
    }
    dot = warp_sum(dot);
    squares = warp_sum(squares);
    const float norm = sqrtf(squares * mean_squares);
    smallest = fminf(smallest, norm > 0 ? dot / norm : 0.f);
  }
  if (threadIdx.x % 32 == 0) cosines[head * shape.num_chunks + chunk] = smallest;
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

/// Smallest and largest mean of every dimension over the chunks that are no outliers.
__global__ void __launch_bounds__(kWarps * 32)
    find_range(PromptShape shape, const Element* keys, const uint32_t* outliers, uint32_t* low,
               uint32_t* high) {
  const int head = blockIdx.y, pieces = shape.head_dim / 32;
  const uint32_t* bitmap = outliers + head * ((shape.num_chunks + 31) / 32);
  float smallest[ChunkMean::kMaxPieces], largest[ChunkMean::kMaxPieces];
  for (int i = 0; i < pieces; ++i) {
    smallest[i] = INFINITY;
    largest[i] = -INFINITY;
  }
  const int64_t first =
      (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kWarpChunks;
  for (int64_t chunk = first; chunk < min(first + kWarpChunks, shape.num_chunks); ++chunk) {
    if (bitmap[chunk / 32] >> (chunk % 32) & 1) continue;
    const ChunkMean mean(shape, keys, chunk, head);
    for (int i = 0; i < pieces; ++i) {
      smallest[i] = fminf(smallest[i], mean.at[i]);
      largest[i] = fmaxf(largest[i], mean.at[i]);
    }
  }
  for (int i = 0; i < pieces; ++i) {
    const int at = head * shape.head_dim + i * 32 + threadIdx.x % 32;
    if (smallest[i] > largest[i]) continue;
    atomicMin(&low[at], ordered_bits(smallest[i]));
    atomicMax(&high[at], ordered_bits(largest[i]));
  }
}

__global__ void __launch_bounds__(kWarps * 32)
    quantise_means(PromptShape shape, const Element* keys, const uint32_t* low,
                   const uint32_t* high, uint8_t* landmarks, float* steps) {
  const int head = blockIdx.y, pieces = shape.head_dim / 32, lane = threadIdx.x % 32;
  float from[ChunkMean::kMaxPieces], step[ChunkMean::kMaxPieces];
  for (int i = 0; i < pieces; ++i) {
    const int at = head * shape.head_dim + i * 32 + lane;
    const bool none = low[at] > high[at];  // every chunk is an outlier
    from[i] = none ? 0.f : float_of_ordered(low[at]);
    step[i] = none ? 0.f : (float_of_ordered(high[at]) - from[i]) / kLandmarkLevels;
    if (blockIdx.x == 0 && threadIdx.x < 32) steps[at] = step[i];
  }
  const int64_t first =
      (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kWarpChunks;
  for (int64_t chunk = first; chunk < min(first + kWarpChunks, shape.num_chunks); ++chunk) {
    const ChunkMean mean(shape, keys, chunk, head);
    uint8_t* out = landmarks + (head * shape.num_chunks + chunk) * shape.head_dim + lane;
    for (int i = 0; i < pieces; ++i) {
      const float level = step[i] > 0 ? rintf((mean.at[i] - from[i]) / step[i]) : 0.f;
      out[i * 32] = static_cast<uint8_t>(fminf(fmaxf(level, 0.f), kLandmarkLevels));
    }
  }
}

__global__ void transpose_rows(PromptShape shape, const Element* source, int64_t first,
                               Element* out, int64_t out_stride) {
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y;
  const int64_t from =
      ((first + row) * shape.num_kv_heads + head) * shape.head_dim + threadIdx.x * kPieceElements;
  *reinterpret_cast<uint4*>(out + head * out_stride + row * shape.head_dim +
                            threadIdx.x * kPieceElements) =
      *reinterpret_cast<const uint4*>(source + from);
}

__global__ void transpose_chunks(PromptShape shape, const Element* source, const int32_t* chunks,
                                 int count, Element* out, int64_t out_stride) {
  const int row = blockIdx.x, head = blockIdx.y;
  const int64_t token =
      static_cast<int64_t>(chunks[head * count + row / shape.chunk_size]) * shape.chunk_size +
      row % shape.chunk_size;
  *reinterpret_cast<uint4*>(out + head * out_stride + static_cast<int64_t>(row) * shape.head_dim +
                            threadIdx.x * kPieceElements) =
      *reinterpret_cast<const uint4*>(source +
                                      (token * shape.num_kv_heads + head) * shape.head_dim +
                                      threadIdx.x * kPieceElements);
}

__global__ void split_vectors(const double* vectors, int key_width, int head_dim, int rank,
                              Element* basis, Element* projection) {
  const int r = blockIdx.x;
  const double* vector = vectors + static_cast<int64_t>(r) * key_width;
  for (int c = threadIdx.x; c < key_width; c += blockDim.x) {
    const Element value = to_element(vector[c]);
    basis[(static_cast<int64_t>(c / head_dim) * rank + r) * head_dim + c % head_dim] = value;
    projection[static_cast<int64_t>(r) * key_width + c] = value;
  }
}

}  // namespace

void compare_chunks(const PromptShape& shape, const Element* keys, float* cosines,
                    cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((shape.num_chunks + kWarps - 1) / kWarps),
                  shape.num_kv_heads);
  compare_to_mean<<<grid, kWarps * 32, 0, stream>>>(shape, keys, cosines);
  CUDA_CHECK(cudaGetLastError());
}

void make_landmarks(const PromptShape& shape, const Element* keys, const uint32_t* outliers,
                    uint32_t* range, uint8_t* landmarks, float* steps, cudaStream_t stream) {
  const size_t range_bytes = sizeof(uint32_t) * shape.num_kv_heads * shape.head_dim;
  uint32_t* const high = range + shape.num_kv_heads * shape.head_dim;
  CUDA_CHECK(cudaMemsetAsync(range, 0xff, range_bytes, stream));
  CUDA_CHECK(cudaMemsetAsync(high, 0, range_bytes, stream));
  const int64_t chunks_per_block = kWarps * kWarpChunks;
  const dim3 grid(
      static_cast<unsigned>((shape.num_chunks + chunks_per_block - 1) / chunks_per_block),
      shape.num_kv_heads);
  find_range<<<grid, kWarps * 32, 0, stream>>>(shape, keys, outliers, range, high);
  CUDA_CHECK(cudaGetLastError());
  quantise_means<<<grid, kWarps * 32, 0, stream>>>(shape, keys, range, high, landmarks, steps);
  CUDA_CHECK(cudaGetLastError());
}

void select_outliers(const PromptShape& shape, const float* cosines, int32_t count, uint32_t* ranks,
                     uint32_t* bitmap, int32_t* chunks, cudaStream_t stream) {
  pick_outliers<<<shape.num_kv_heads, kSelectThreads, 0, stream>>>(shape, cosines, count, ranks,
                                                                   bitmap, chunks);
  CUDA_CHECK(cudaGetLastError());
}

void copy_rows(const PromptShape& shape, const Element* source, int64_t first, int64_t count,
               Element* out, int64_t out_stride, cudaStream_t stream) {
  if (count == 0) return;
  const dim3 grid(static_cast<unsigned>(count), shape.num_kv_heads);
  transpose_rows<<<grid, shape.head_dim / kPieceElements, 0, stream>>>(shape, source, first, out,
                                                                       out_stride);
  CUDA_CHECK(cudaGetLastError());
}

void copy_chunks(const PromptShape& shape, const Element* source, const int32_t* chunks,
                 int32_t count, Element* out, int64_t out_stride, cudaStream_t stream) {
  if (count == 0) return;
  const dim3 grid(count * shape.chunk_size, shape.num_kv_heads);
  transpose_chunks<<<grid, shape.head_dim / kPieceElements, 0, stream>>>(shape, source, chunks,
                                                                         count, out, out_stride);
  CUDA_CHECK(cudaGetLastError());
}

void make_basis(const double* vectors, int32_t key_width, int32_t head_dim, int32_t rank,
                Element* basis, Element* projection, cudaStream_t stream) {
  split_vectors<<<rank, 256, 0, stream>>>(vectors, key_width, head_dim, rank, basis, projection);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
