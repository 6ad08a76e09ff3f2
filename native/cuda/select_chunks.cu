// One block per (sequence, KV head). The best scores of its threads bound the k-th largest from
// below, a histogram of what is left finds the few that lie around it, and comparing those settles
// it; bit masks and prefix sums keep everything in chunk order, so that ties and slots come out the
// same in every run.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/radix_select.cuh"
#include "cuda/select_chunks.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = kSelectThreads;
constexpr int kWarps = kThreads / 32;
constexpr int kMaxGroup = 16;
constexpr int kBins = 2 * kThreads;
constexpr int kMaxCandidates = kThreads;

/// What is chosen: scores above `score`, and those equal to it up to chunk `last`.
struct Threshold {
  float score;
  int last;
};

struct Shared {
  SelectScan::TempStorage scan;
  float log_sum[kMaxGroup];
  float low[kWarps], high[kWarps];
  int bins[kBins];
  float best[kThreads];  // of each thread's chunks
  int candidates[kMaxCandidates];
  int num_candidates;
  int bin, remaining;
  Threshold threshold;
};

/// Masks of 32 chunks each, in dynamic shared memory, then the scores if they fit there.
struct Masks {
  uint32_t* chosen;
  int* before;  // chosen ones of all words before
};

__host__ __device__ int words_of(int chunks) { return (chunks + kThreads - 1) / kThreads * kWarps; }

/// Logarithm, of base 2, of the softmax denominator of every query head of the group.
__device__ void sum_logits(const float2* partial, int group, int blocks, int used, Shared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp >= group) return;
  float top = -INFINITY, total = 0;
  for (int i = lane; i < used; i += 32) top = fmaxf(top, partial[warp * blocks + i].x);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
  for (int i = lane; i < used; i += 32) {
    const float2 part = partial[warp * blocks + i];
    total += part.y * exp2f(part.x - top);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
  if (lane == 0) shared.log_sum[warp] = top + __log2f(total);
}

/// Smallest and largest of what the threads hold, to all of them. Contains two barriers.
__device__ float2 block_range(float low, float high, Shared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    low = fminf(low, __shfl_xor_sync(~0u, low, step));
    high = fmaxf(high, __shfl_xor_sync(~0u, high, step));
  }
  __syncthreads();
  if (lane == 0) {
    shared.low[warp] = low;
    shared.high[warp] = high;
  }
  __syncthreads();
  low = shared.low[lane % kWarps];
  high = shared.high[lane % kWarps];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    low = fminf(low, __shfl_xor_sync(~0u, low, step));
    high = fmaxf(high, __shfl_xor_sync(~0u, high, step));
  }
  return {low, high};
}

/// Calls visit(chunk, score) for all scores (n); they have room for whole fours.
template <typename Visit>
__device__ void each_score(const float* scores, int n, Visit visit) {
  for (int c = 4 * threadIdx.x; c < n; c += 4 * kThreads) {
    const float4 four = *reinterpret_cast<const float4*>(scores + c);
    visit(c, four.x);
    if (c + 1 < n) visit(c + 1, four.y);
    if (c + 2 < n) visit(c + 2, four.z);
    if (c + 3 < n) visit(c + 3, four.w);
  }
}

/// Sets scores (n) to the logarithm of each chunk's highest probability over the group; outliers
/// are -inf. Returns the range of the others that the thread has seen.
__device__ float2 score_group(const float* logits, int group, int max_chunks, int n, float* scores,
                              const Shared& shared) {
  constexpr int kHeads = 4;  // whose loads are under way together
  float low = INFINITY, high = -INFINITY;
  for (int c = 4 * threadIdx.x; c < n; c += 4 * kThreads) {
    float best[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (int first = 0; first < group; first += kHeads) {
      float4 of_head[kHeads];
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        const int head = min(first + h, group - 1);
        of_head[h] =
            *reinterpret_cast<const float4*>(logits + static_cast<int64_t>(head) * max_chunks + c);
      }
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        const float log_sum = shared.log_sum[min(first + h, group - 1)];
        best[0] = fmaxf(best[0], of_head[h].x - log_sum);
        best[1] = fmaxf(best[1], of_head[h].y - log_sum);
        best[2] = fmaxf(best[2], of_head[h].z - log_sum);
        best[3] = fmaxf(best[3], of_head[h].w - log_sum);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (c + i >= n || best[i] == -INFINITY) continue;
      low = fminf(low, best[i]);
      high = fmaxf(high, best[i]);
    }
    *reinterpret_cast<float4*>(scores + c) = {best[0], best[1], best[2], best[3]};
  }
  return {low, high};
}

/// Finds the bin of the `shared.remaining`-th largest score within [low, high], and how many of
/// that bin are wanted. Bins descend. Returns its count. Ends with a barrier.
__device__ int find_bin(const float* scores, int n, float low, float high, float scale,
                        Shared& shared) {
  for (int i = threadIdx.x; i < kBins; i += kThreads) shared.bins[i] = 0;
  __syncthreads();
  each_score(scores, n, [&](int, float score) {
    if (score < low || score > high) return;
    atomicAdd(&shared.bins[min(kBins - 1, static_cast<int>((high - score) * scale))], 1);
  });
  __syncthreads();
  const int first = shared.bins[2 * threadIdx.x], second = shared.bins[2 * threadIdx.x + 1];
  const int wanted = shared.remaining;
  int above;
  SelectScan(shared.scan).ExclusiveSum(first + second, above);
  __syncthreads();
  if (above < wanted && above + first + second >= wanted) {
    const bool in_second = above + first < wanted;
    shared.bin = 2 * threadIdx.x + in_second;
    shared.remaining = wanted - above - (in_second ? first : 0);
  }
  __syncthreads();
  return shared.bins[shared.bin];
}

/// A score that at least k chunks reach: among the best of each thread k reach it, `best` being the
/// caller's and -inf where it has none. Or `low`, where too few threads have one. Ends with a
/// barrier.
__device__ float lower_bound(float best, int k, float low, float high, Shared& shared) {
  shared.best[threadIdx.x] = best;
  if (threadIdx.x == 0) shared.remaining = k;
  if (__syncthreads_count(best > -INFINITY) < k || low == high) return low;
  const float scale = (kBins - 1) / (high - low);
  find_bin(shared.best, kThreads, low, high, scale, shared);
  const bool counts =
      best >= low && min(kBins - 1, static_cast<int>((high - best) * scale)) <= shared.bin;
  return block_range(counts ? best : INFINITY, high, shared).x;
}

/// The lowest `shared.remaining` chunks whose score is `score`: too many to compare with each
/// other.
__device__ void take_equal(const float* scores, int n, float score, Shared& shared) {
  int seen = 0;
  for (int base = 0; base < n; base += kThreads) {
    const int c = base + threadIdx.x;
    const int equal = c < n && scores[c] == score;
    int before, sum;
    SelectScan(shared.scan).ExclusiveSum(equal, before, sum);
    __syncthreads();
    if (equal && seen + before == shared.remaining - 1) shared.threshold = {score, c};
    seen += sum;
  }
  __syncthreads();
}

/// Sets shared.threshold so that `k` of the scores (n) are chosen; at least k are finite. `low` and
/// `high` are their range. Ends with a barrier.
__device__ void find_threshold(const float* scores, int n, int k, float low, float high,
                               Shared& shared) {
  if (threadIdx.x == 0) {
    shared.remaining = k;
    shared.num_candidates = 0;
  }
  while (true) {
    if (low == high) return take_equal(scores, n, low, shared);
    const float scale = (kBins - 1) / (high - low);
    const auto in_bin = [&](float score) {
      return score >= low && score <= high &&
             min(kBins - 1, static_cast<int>((high - score) * scale)) == shared.bin;
    };
    const int count = find_bin(scores, n, low, high, scale, shared);
    if (count <= kMaxCandidates) {
      each_score(scores, n, [&](int c, float score) {
        if (in_bin(score)) shared.candidates[atomicAdd(&shared.num_candidates, 1)] = c;
      });
      break;
    }
    float bin_low = INFINITY, bin_high = -INFINITY;
    each_score(scores, n, [&](int, float score) {
      if (!in_bin(score)) return;
      bin_low = fminf(bin_low, score);
      bin_high = fmaxf(bin_high, score);
    });
    const float2 range = block_range(bin_low, bin_high, shared);
    low = range.x;
    high = range.y;
  }
  __syncthreads();
  const int count = shared.num_candidates;
  if (threadIdx.x < count) {
    const int mine = shared.candidates[threadIdx.x];
    const float score = scores[mine];
    int better = 0;
    for (int i = 0; i < count; ++i) {
      const int other = shared.candidates[i];
      better += scores[other] > score || (scores[other] == score && other < mine);
    }
    if (better == shared.remaining - 1) shared.threshold = {score, mine};
  }
  __syncthreads();
}

/// Gives every missed chunk a slot that this step does not use, those longest unused first.
__device__ void assign_slots(const HeadView& head, int step, int missed, const int32_t* miss_chunks,
                             int32_t* miss_slots, int32_t* out_slots, Shared& shared) {
  constexpr int kAges = kSelectDigits;
  const auto age_of = [&](int slot) { return min(step - head.slot_used[slot], kAges - 1); };
  if (threadIdx.x < kAges) shared.bins[threadIdx.x] = 0;
  __syncthreads();
  for (int s = threadIdx.x; s < head.num_slots; s += kThreads) {
    atomicAdd(&shared.bins[age_of(s)], 1);
  }
  __syncthreads();
  const int age = kAges - 1 - static_cast<int>(threadIdx.x);
  const int here = threadIdx.x < kAges ? shared.bins[age] : 0;
  int older;
  SelectScan(shared.scan).ExclusiveSum(here, older);
  __syncthreads();
  if (threadIdx.x < kAges && older < missed && older + here >= missed) {
    shared.bin = age;
    shared.remaining = missed - older;
  }
  __syncthreads();
  const int threshold_age = shared.bin, wanted = shared.remaining;
  int older_seen = 0, same_seen = 0;
  for (int base = 0; base < head.num_slots; base += kThreads) {
    const int s = base + threadIdx.x;
    const int slot_age = s < head.num_slots ? age_of(s) : -1;
    const bool is_older = slot_age > threshold_age, is_same = slot_age == threshold_age;
    int before, sum;  // older ones in the low half, those of the same age in the high
    SelectScan(shared.scan).ExclusiveSum(is_older | is_same << 16, before, sum);
    __syncthreads();
    const int older_before = older_seen + (before & 0xffff);
    const int same_before = same_seen + (before >> 16);
    older_seen += sum & 0xffff;
    same_seen += sum >> 16;
    if (!is_older && !(is_same && same_before < wanted)) continue;
    const int i = older_before + min(same_before, wanted);
    const int evicted = head.slot_chunk[s], chunk = miss_chunks[i];
    if (evicted >= 0) head.chunk_slot[evicted] = -1;
    head.chunk_slot[chunk] = s;
    head.slot_chunk[s] = chunk;
    head.slot_used[s] = step;
    miss_slots[i] = s;
    out_slots[i] = s;
  }
}

__global__ void __launch_bounds__(kThreads)
    select(const HeadView* heads, ChunkScores given, const int32_t* step_counter, float* spill,
           Selection selection, int group, int max_chunks, int max_selected, int blocks,
           int shared_scores) {
  __shared__ Shared shared;
  extern __shared__ uint32_t dynamic[];
  const int index = blockIdx.x;
  const HeadView head = heads[index];
  const int n = head.num_chunks, k = head.num_selected, step = *step_counter;
  if (k == 0) {
    if (threadIdx.x == 0) selection.miss_counts[index] = 0;
    return;
  }
  const int words = words_of(n), max_words = words_of(max_chunks);
  const Masks masks{dynamic, reinterpret_cast<int*>(dynamic) + max_words};
  float* const scores = n <= shared_scores ? reinterpret_cast<float*>(dynamic + 2 * max_words)
                                           : spill + static_cast<int64_t>(index) * max_chunks;
  const int64_t lists = static_cast<int64_t>(index) * max_selected;
  int32_t *const out_slots = selection.slots + lists, *const miss_slots =
                                                          selection.miss_slots + lists;
  int32_t* const miss_chunks = selection.miss_chunks + lists;

  sum_logits(given.partial + static_cast<int64_t>(index) * group * blocks, group, blocks,
             (n + kScoreBlockChunks - 1) / kScoreBlockChunks, shared);
  __syncthreads();
  const float2 own = score_group(given.logits + static_cast<int64_t>(index) * group * max_chunks,
                                 group, max_chunks, n, scores, shared);
  const float2 range = block_range(own.x, own.y, shared);
  const float low = lower_bound(own.y, k, range.x, range.y, shared);
  find_threshold(scores, n, k, low, range.y, shared);

  const Threshold threshold = shared.threshold;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int word = warp; word < words; word += kWarps) {
    const int c = word * 32 + lane;
    const float score = c < n ? scores[c] : -INFINITY;
    const uint32_t chosen = __ballot_sync(
        ~0u, score > threshold.score || (score == threshold.score && c <= threshold.last));
    if (lane == 0) masks.chosen[word] = chosen;
  }
  __syncthreads();
  int listed = 0;
  for (int base = 0; base < words; base += kThreads) {
    const int word = base + threadIdx.x;
    int before, sum;
    SelectScan(shared.scan)
        .ExclusiveSum(word < words ? __popc(masks.chosen[word]) : 0, before, sum);
    __syncthreads();
    if (word < words) masks.before[word] = before + listed;
    listed += sum;
  }
  __syncthreads();
  for (int word = warp; word < words; word += kWarps) {
    const uint32_t chosen = masks.chosen[word], lower = (1u << lane) - 1;
    if (chosen >> lane & 1) {
      miss_chunks[masks.before[word] + __popc(chosen & lower)] = word * 32 + lane;
    }
  }
  __syncthreads();
  // The list shrinks to the missed ones where it is. Their slots come first in the list of slots,
  // in the same order; those of hits fill it from its end.
  int taken = 0, missed = 0;
  for (int base = 0; base < k; base += kThreads) {
    const int i = base + threadIdx.x;
    const int chunk = i < k ? miss_chunks[i] : 0, slot = i < k ? head.chunk_slot[chunk] : -1;
    const bool hit = slot >= 0, miss = i < k && !hit;
    int before, sum;  // hits in the low half, misses in the high
    SelectScan(shared.scan).ExclusiveSum(hit | miss << 16, before, sum);
    __syncthreads();
    if (hit) {
      head.slot_used[slot] = step;
      out_slots[k - 1 - taken - (before & 0xffff)] = slot;
    } else if (miss) {
      miss_chunks[missed + (before >> 16)] = chunk;
    }
    taken += sum & 0xffff;
    missed += sum >> 16;
  }
  if (threadIdx.x == 0) {
    selection.miss_counts[index] = missed;
    atomicAdd(head.hits, static_cast<unsigned long long>(taken));
  }
  if (missed == 0) return;
  __syncthreads();
  assign_slots(head, step, missed, miss_chunks, miss_slots, out_slots, shared);
}

/// Dynamic shared memory that the device allows beside Shared.
int most_dynamic_bytes() {
  int device = 0, most = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  cudaFuncAttributes attributes{};
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, select));
  most -= static_cast<int>(attributes.sharedSizeBytes);
  CUDA_CHECK(cudaFuncSetAttribute(select, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  return most;
}

}  // namespace

void select_chunks(const DecodeShape& shape, const HeadView* heads, const ChunkScores& scores,
                   const int32_t* step, float* spill, const Selection& selection,
                   cudaStream_t stream) {
  static const int most = most_dynamic_bytes();
  const int mask_bytes = 2 * words_of(shape.max_chunks) * static_cast<int>(sizeof(uint32_t));
  const int score_bytes = shape.max_chunks * static_cast<int>(sizeof(float));
  const bool fits = mask_bytes + score_bytes <= most;
  select<<<shape.batch * shape.num_kv_heads, kThreads, mask_bytes + (fits ? score_bytes : 0),
           stream>>>(heads, scores, step, spill, selection, shape.group(), shape.max_chunks,
                     shape.max_selected, score_blocks(shape), fits ? shape.max_chunks : 0);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
