// One block a multiprocessor takes panels of 16 outputs in turn; its warps share the columns, 32 at a
// time, and join their sums through shared memory. The weights are the A operand of the tensor
// product and pass through a ring in shared memory, deep enough to keep the memory busy. A lane
// copies just what it multiplies itself, so that the ring needs no barrier: within a step, columns
// are permuted alike in both operands, and a lane's are eight contiguous ones.

#include <cuda_pipeline.h>

#include <algorithm>

#include "cuda/check.h"
#include "cuda/few_rows.h"
#include "cuda/launch.h"
#include "cuda/mma.h"

namespace gnomon::cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kPanel = 16;        // outputs
constexpr int kStepColumns = 32;  // of a warp
constexpr int kRingPieces = 24;   // of 16 bytes that a lane has under way
constexpr size_t kRingBytes = kRingPieces * kThreads * sizeof(uint4);

/// Where a warp is: a step of a tile of panels.
struct Place {
  int tile, step;

  __device__ void advance(int steps) {
    if (++step < steps) return;
    step = 0;
    tile += static_cast<int>(gridDim.x);
  }
  __device__ int column() const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    return (step * kWarps + warp) * kStepColumns + lane % 4 * 8;
  }
};

/// Starts the copy of this lane's pieces of one step; zeros past the matrix.
template <int kPanels>
__device__ void copy(const Product& p, const Place& at, uint4* slot) {
  const int lane = threadIdx.x % 32, column = at.column();
#pragma unroll
  for (int i = 0; i < 2 * kPanels; ++i) {
    const int output = at.tile * kPanels * kPanel + i * 8 + lane / 4;
    uint4* target = slot + i * kThreads + threadIdx.x;
    if (output < p.outputs && column < p.inputs) {
      __pipeline_memcpy_async(target, p.weight + output * p.inputs + column, sizeof(uint4));
    } else {
      *target = {};
    }
  }
}

/// This lane's eight columns of x, of every eighth row.
template <int kRowTiles>
__device__ void load_rows(const Product& p, int column, uint4 (&rows)[kRowTiles]) {
#pragma unroll
  for (int r = 0; r < kRowTiles; ++r) {
    const int64_t row = r * 8 + threadIdx.x % 32 / 4;
    rows[r] = row < p.rows && column < p.inputs
                  ? *reinterpret_cast<const uint4*>(p.x + row * p.inputs + column)
                  : uint4{};
  }
}

/// Sums of a tile: fragments (16 outputs, 8 rows).
template <int kPanels, int kRowTiles>
struct Sums {
  static constexpr int kRows = kRowTiles * 8, kOutputs = kPanels * kPanel;
  static constexpr int kPitch = kOutputs + 4;  // free of bank conflicts
  static constexpr size_t kBytes = kWarps * kRows * kPitch * sizeof(float);
  float at[kPanels][kRowTiles][4] = {};

  __device__ void add(const uint4* slot, const uint4 (&rows)[kRowTiles]) {
    slot += threadIdx.x;
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
      const uint4 upper = slot[2 * panel * kThreads], lower = slot[(2 * panel + 1) * kThreads];
      const uint32_t first[4] = {upper.x, lower.x, upper.y, lower.y};
      const uint32_t second[4] = {upper.z, lower.z, upper.w, lower.w};
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) mma_16x8x16(at[panel][r], first, rows[r].x, rows[r].y);
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) mma_16x8x16(at[panel][r], second, rows[r].z, rows[r].w);
    }
  }

  /// Adds the warps' sums up, in their order, and writes the tile of y. Contains two barriers.
  __device__ void finish(const Product& p, int tile, float* shared) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = r * 8 + lane % 4 * 2 + i % 2, output = panel * kPanel + lane / 4 + i / 2 * 8;
          shared[(warp * kRows + row) * kPitch + output] = at[panel][r][i];
          at[panel][r][i] = 0;
        }
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < kRows * kOutputs; i += kThreads) {
      const int row = i / kOutputs, output = tile * kOutputs + i % kOutputs;
      if (row >= p.rows || output >= p.outputs) continue;
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += shared[(w * kRows + row) * kPitch + i % kOutputs];
      if (p.bias != nullptr) sum += __bfloat162float(p.bias[output]);
      const int64_t place = row * p.outputs + output;
      if (p.fp32_out) {
        float* y = static_cast<float*>(p.y) + place;
        *y = p.accumulate ? *y + sum : sum;
      } else {
        __nv_bfloat16* y = static_cast<__nv_bfloat16*>(p.y) + place;
        *y = __float2bfloat16(p.accumulate ? __bfloat162float(*y) + sum : sum);
      }
    }
    __syncthreads();
  }
};

template <int kPanels, int kRowTiles>
__global__ void __launch_bounds__(kThreads) multiply(Product p, int tiles) {
  constexpr int kPieces = 2 * kPanels, kDepth = kRingPieces / kPieces;
  extern __shared__ uint4 ring[];  // (kDepth, kPieces, kThreads), then the warps' sums
  float* const warp_sums = reinterpret_cast<float*>(ring + kRingPieces * kThreads);
  const int steps = (static_cast<int>(p.inputs) + kWarps * kStepColumns - 1) / (kWarps * kStepColumns);

  // Nobody writes weights: they travel before the kernel before this one has ended.
  Place ahead{static_cast<int>(blockIdx.x), 0};
  for (int slot = 0; slot < kDepth; ++slot) {
    if (ahead.tile < tiles) copy<kPanels>(p, ahead, ring + slot * kPieces * kThreads);
    __pipeline_commit();
    ahead.advance(steps);
  }
  after_previous();

  Place here{static_cast<int>(blockIdx.x), 0};
  uint4 next[kRowTiles];
  load_rows(p, here.column(), next);
  Sums<kPanels, kRowTiles> sums;
  for (int slot = 0; here.tile < tiles; slot = slot + 1 < kDepth ? slot + 1 : 0) {
    uint4 rows[kRowTiles];
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) rows[r] = next[r];
    const int tile = here.tile;
    here.advance(steps);
    load_rows(p, here.column(), next);
    __pipeline_wait_prior(kDepth - 1);
    uint4* const pieces = ring + slot * kPieces * kThreads;
    sums.add(pieces, rows);
    if (ahead.tile < tiles) copy<kPanels>(p, ahead, pieces);
    __pipeline_commit();
    ahead.advance(steps);
    if (here.step == 0) sums.finish(p, tile, warp_sums);
  }
}

template <int kPanels, int kRowTiles>
void launch(const Product& p, int processors, cudaStream_t stream) {
  constexpr size_t kBytes = kRingBytes + Sums<kPanels, kRowTiles>::kBytes;
  static const cudaError_t raised = cudaFuncSetAttribute(
      multiply<kPanels, kRowTiles>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CUDA_CHECK(raised);
  const int tiles = static_cast<int>((p.outputs + kPanels * kPanel - 1) / (kPanels * kPanel));
  launch_early(multiply<kPanels, kRowTiles>, dim3(std::min(tiles, processors)), kThreads, kBytes,
               stream, p, tiles);
}

template <int kPanels>
void launch_rows(const Product& p, int processors, cudaStream_t stream) {
  switch ((p.rows + 7) / 8) {
    case 1:
      return launch<kPanels, 1>(p, processors, stream);
    case 2:
      return launch<kPanels, 2>(p, processors, stream);
    case 3:
      return launch<kPanels, 3>(p, processors, stream);
    default:
      return launch<kPanels, 4>(p, processors, stream);
  }
}

int processors_of_device() {
  int device = 0, count = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

/// Panels a tile: wide tiles read x seldom, but the last round must not leave many multiprocessors
/// without one.
int panels_of(int64_t outputs, int processors) {
  int best = 1;
  int64_t least = 0;
  for (int panels = 3; panels >= 1; --panels) {
    const int64_t round = static_cast<int64_t>(processors) * panels * kPanel;
    const int64_t covered = (outputs + round - 1) / round * round;
    if (least == 0 || covered < least) {
      least = covered;
      best = panels;
    }
  }
  return best;
}

}  // namespace

void multiply_few_rows(const Product& product, cudaStream_t stream) {
  static const int processors = processors_of_device();
  switch (panels_of(product.outputs, processors)) {
    case 1:
      return launch_rows<1>(product, processors, stream);
    case 2:
      return launch_rows<2>(product, processors, stream);
    default:
      return launch_rows<3>(product, processors, stream);
  }
}

}  // namespace gnomon::cuda
