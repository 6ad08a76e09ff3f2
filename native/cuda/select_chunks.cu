// One block per (sequence, KV head). A histogram of the scores finds the few that lie around the
// k-th largest, and comparing those settles it; bit masks and one prefix sum keep everything in
// chunk order, so that ties and slots come out the same in every run.

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
  int candidates[kMaxCandidates];
  int num_candidates;
  int bin, remaining;
  Threshold threshold;
};

/// Masks of 32 chunks each, in dynamic shared memory, then the scores if they fit there.
struct Masks {
  uint32_t* hit;
  uint32_t* miss;
  uint32_t* before;  // hits (low half) and misses (high half) of all words before
};

__host__ __device__ int words_of(int chunks) { return (chunks + kThreads - 1) / kThreads * kWarps; }

/// Logarithm of the softmax denominator of every query head of the group.
__device__ void sum_logits(const float2* partial, int group, int blocks, int used, Shared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp >= group) return;
  float top = -INFINITY, total = 0;
  for (int i = lane; i < used; i += 32) top = fmaxf(top, partial[warp * blocks + i].x);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
  for (int i = lane; i < used; i += 32) {
    const float2 part = partial[warp * blocks + i];
    total += part.y * __expf(part.x - top);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
  if (lane == 0) shared.log_sum[warp] = top + __logf(total);
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

/// Finds the bin of the `shared.remaining`-th largest score within [low, high], and how many of
/// that bin are wanted. Bins descend. Returns its count. Ends with a barrier.
__device__ int find_bin(const float* scores, int n, float low, float high, float scale,
                        Shared& shared) {
  for (int i = threadIdx.x; i < kBins; i += kThreads) shared.bins[i] = 0;
  __syncthreads();
  for (int c = threadIdx.x; c < n; c += kThreads) {
    const float score = scores[c];
    if (score < low || score > high) continue;
    atomicAdd(&shared.bins[min(kBins - 1, static_cast<int>((high - score) * scale))], 1);
  }
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
      for (int c = threadIdx.x; c < n; c += kThreads) {
        if (in_bin(scores[c])) shared.candidates[atomicAdd(&shared.num_candidates, 1)] = c;
      }
      break;
    }
    float bin_low = INFINITY, bin_high = -INFINITY;
    for (int c = threadIdx.x; c < n; c += kThreads) {
      if (!in_bin(scores[c])) continue;
      bin_low = fminf(bin_low, scores[c]);
      bin_high = fmaxf(bin_high, scores[c]);
    }
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
  const Masks masks{dynamic, dynamic + max_words, dynamic + 2 * max_words};
  float* const scores = n <= shared_scores ? reinterpret_cast<float*>(dynamic + 3 * max_words)
                                           : spill + static_cast<int64_t>(index) * max_chunks;
  const int64_t lists = static_cast<int64_t>(index) * max_selected;
  int32_t *const out_slots = selection.slots + lists, *const miss_slots =
                                                          selection.miss_slots + lists;
  int32_t* const miss_chunks = selection.miss_chunks + lists;

  sum_logits(given.partial + static_cast<int64_t>(index) * group * blocks, group, blocks,
             (n + kScoreBlockChunks - 1) / kScoreBlockChunks, shared);
  __syncthreads();
  // log of the highest probability over the group; outliers are -inf.
  const float* logits = given.logits + static_cast<int64_t>(index) * group * max_chunks;
  float low = INFINITY, high = -INFINITY;
  for (int c = threadIdx.x; c < n; c += kThreads) {
    float best = -INFINITY;
    for (int h = 0; h < group; ++h) {
      best = fmaxf(best, logits[static_cast<int64_t>(h) * max_chunks + c] - shared.log_sum[h]);
    }
    scores[c] = best;
    if (best == -INFINITY) continue;
    low = fminf(low, best);
    high = fmaxf(high, best);
  }
  const float2 range = block_range(low, high, shared);
  find_threshold(scores, n, k, range.x, range.y, shared);

  const Threshold threshold = shared.threshold;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int word = warp; word < words; word += kWarps) {
    const int c = word * 32 + lane;
    const float score = c < n ? scores[c] : -INFINITY;
    const bool chosen =
        score > threshold.score || (score == threshold.score && c <= threshold.last);
    const bool hit = chosen && head.chunk_slot[c] >= 0;
    const uint32_t hits = __ballot_sync(~0u, hit), misses = __ballot_sync(~0u, chosen && !hit);
    if (lane == 0) {
      masks.hit[word] = hits;
      masks.miss[word] = misses;
    }
  }
  __syncthreads();
  int taken = 0, missed = 0;
  for (int base = 0; base < words; base += kThreads) {
    const int word = base + threadIdx.x;
    const int own = word < words ? __popc(masks.hit[word]) | __popc(masks.miss[word]) << 16 : 0;
    int before, sum;
    SelectScan(shared.scan).ExclusiveSum(own, before, sum);
    __syncthreads();
    if (word < words) masks.before[word] = before + (taken | missed << 16);
    taken += sum & 0xffff;
    missed += sum >> 16;
  }
  __syncthreads();
  // Missed chunks come first in the list of slots, in the order of their own list.
  for (int word = warp; word < words; word += kWarps) {
    const uint32_t hits = masks.hit[word], misses = masks.miss[word], lower = (1u << lane) - 1;
    if ((hits | misses) == 0) continue;
    const int c = word * 32 + lane, before = static_cast<int>(masks.before[word]);
    if (hits >> lane & 1) {
      const int slot = head.chunk_slot[c];
      head.slot_used[slot] = step;
      out_slots[missed + (before & 0xffff) + __popc(hits & lower)] = slot;
    } else if (misses >> lane & 1) {
      miss_chunks[(before >> 16) + __popc(misses & lower)] = c;
    }
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
  const int mask_bytes = 3 * words_of(shape.max_chunks) * static_cast<int>(sizeof(uint32_t));
  const int score_bytes = shape.max_chunks * static_cast<int>(sizeof(float));
  const bool fits = mask_bytes + score_bytes <= most;
  select<<<shape.batch * shape.num_kv_heads, kThreads, mask_bytes + (fits ? score_bytes : 0),
           stream>>>(heads, scores, step, spill, selection, shape.group(), shape.max_chunks,
                     shape.max_selected, score_blocks(shape), fits ? shape.max_chunks : 0);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
