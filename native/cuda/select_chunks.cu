// One block per (sequence, KV head). A radix select over the order-preserving bits of the score
// finds the k-th largest; prefix sums keep everything in chunk order, so ties and slots come out
// the same in every run.

#include "cuda/check.h"
#include "cuda/radix_select.cuh"
#include "cuda/select_chunks.h"

namespace gnomon::cuda {

namespace {

constexpr int kThreads = kSelectThreads;
constexpr int kMaxGroup = 16;

struct Shared {
  SelectShared select;
  float log_sum[kMaxGroup];
};

__global__ void __launch_bounds__(kThreads)
    select(const HeadView* heads, ChunkScores scores, const int32_t* step_counter, uint32_t* ranks,
           Selection selection, int group, int max_chunks, int max_selected, int blocks) {
  __shared__ Shared shared;
  const int index = blockIdx.x;
  const HeadView head = heads[index];
  const int n = head.num_chunks, k = head.num_selected, step = *step_counter;
  int32_t* const out_slots = selection.slots + static_cast<int64_t>(index) * max_selected;
  int32_t* const miss_chunks = selection.miss_chunks + static_cast<int64_t>(index) * max_selected;
  int32_t* const miss_slots = selection.miss_slots + static_cast<int64_t>(index) * max_selected;
  if (k == 0) {
    if (threadIdx.x == 0) selection.miss_counts[index] = 0;
    return;
  }

  if (threadIdx.x < group) {
    const float2* partial =
        scores.partial + (static_cast<int64_t>(index) * group + threadIdx.x) * blocks;
    float top = -INFINITY, total = 0;
    for (int i = 0; i < (n + 511) / 512; ++i) top = fmaxf(top, partial[i].x);
    for (int i = 0; i < (n + 511) / 512; ++i) total += partial[i].y * __expf(partial[i].x - top);
    shared.log_sum[threadIdx.x] = top + __logf(total);
  }
  __syncthreads();

  // log of the highest probability over the group; outliers are -inf.
  const float* logits = scores.logits + static_cast<int64_t>(index) * group * max_chunks;
  uint32_t* const rank = ranks + static_cast<int64_t>(index) * max_chunks;
  for (int c = threadIdx.x; c < n; c += kThreads) {
    float best = -INFINITY;
    for (int h = 0; h < group; ++h) {
      best = fmaxf(best, logits[static_cast<int64_t>(h) * max_chunks + c] - shared.log_sum[h]);
    }
    rank[c] = ordered_bits(best);
  }
  __syncthreads();
  find_threshold(rank, n, k, shared.select);
  const uint32_t threshold = shared.select.threshold;
  const int equal_taken = shared.select.equal_taken;

  // Chunks in order: hits are marked and listed, misses listed apart.
  int taken = 0, missed = 0, equal_seen = 0;
  for (int base = 0; base < n; base += kThreads) {
    const int c = base + threadIdx.x;
    const uint32_t value = c < n ? rank[c] : 0;
    const int equal = c < n && value == threshold;
    int equal_before, equal_sum;
    SelectScan(shared.select.scan).ExclusiveSum(equal, equal_before, equal_sum);
    __syncthreads();
    const bool chosen =
        c < n && (value > threshold || (equal && equal_seen + equal_before < equal_taken));
    equal_seen += equal_sum;
    const int slot = chosen ? head.chunk_slot[c] : -1;
    const int hit = chosen && slot >= 0, miss = chosen && slot < 0;
    int counts_before, counts;  // hits in the low half, misses in the high
    SelectScan(shared.select.scan).ExclusiveSum(hit | miss << 16, counts_before, counts);
    __syncthreads();
    if (hit) {
      head.slot_used[slot] = step;
      out_slots[taken + (counts_before & 0xffff)] = slot;
    } else if (miss) {
      miss_chunks[missed + (counts_before >> 16)] = c;
    }
    taken += counts & 0xffff;
    missed += counts >> 16;
  }
  if (threadIdx.x == 0) {
    selection.miss_counts[index] = missed;
    atomicAdd(head.hits, static_cast<unsigned long long>(taken));
  }
  if (missed == 0) return;

  // Slots that this step does not use, oldest first: a histogram of ages finds how old a slot must
  // be to be freed.
  if (threadIdx.x < kSelectDigits) shared.select.histogram[threadIdx.x] = 0;
  __syncthreads();
  const auto age_of = [&](int slot) { return min(step - head.slot_used[slot], kSelectDigits - 1); };
  for (int s = threadIdx.x; s < head.num_slots; s += kThreads) {
    atomicAdd(&shared.select.histogram[age_of(s)], 1);
  }
  __syncthreads();
  const int age = kSelectDigits - 1 - static_cast<int>(threadIdx.x);
  const int here = threadIdx.x < kSelectDigits ? shared.select.histogram[age] : 0;
  int older;
  SelectScan(shared.select.scan).ExclusiveSum(here, older);
  __syncthreads();
  if (threadIdx.x < kSelectDigits && older < missed && older + here >= missed) {
    shared.select.threshold = age;
    shared.select.equal_taken = missed - older;
  }
  __syncthreads();
  const int threshold_age = static_cast<int>(shared.select.threshold),
            threshold_taken = shared.select.equal_taken;
  int freed = 0, same_seen = 0;
  for (int base = 0; base < head.num_slots; base += kThreads) {
    const int s = base + threadIdx.x;
    const int slot_age = s < head.num_slots ? age_of(s) : -1;
    const int same = slot_age == threshold_age;
    int same_before, same_sum;
    SelectScan(shared.select.scan).ExclusiveSum(same, same_before, same_sum);
    __syncthreads();
    const int free =
        slot_age > threshold_age || (same && same_seen + same_before < threshold_taken);
    same_seen += same_sum;
    int free_before, free_sum;
    SelectScan(shared.select.scan).ExclusiveSum(free, free_before, free_sum);
    __syncthreads();
    if (free) {
      const int i = freed + free_before;
      const int evicted = head.slot_chunk[s], chunk = miss_chunks[i];
      if (evicted >= 0) head.chunk_slot[evicted] = -1;
      head.chunk_slot[chunk] = s;
      head.slot_chunk[s] = chunk;
      head.slot_used[s] = step;
      miss_slots[i] = s;
      out_slots[taken + i] = s;
    }
    freed += free_sum;
  }
}

}  // namespace

void select_chunks(const DecodeShape& shape, const HeadView* heads, const ChunkScores& scores,
                   const int32_t* step, uint32_t* ranks, const Selection& selection,
                   cudaStream_t stream) {
  select<<<shape.batch * shape.num_kv_heads, kThreads, 0, stream>>>(
      heads, scores, step, ranks, selection, shape.group(), shape.max_chunks, shape.max_selected,
      score_blocks(shape));
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace gnomon::cuda
