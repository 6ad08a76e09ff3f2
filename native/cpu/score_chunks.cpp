#include "cpu/score_chunks.h"

#include <cmath>
#include <limits>

#include "cpu/landmarks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/score_chunks.cpp"
// foreach_target.h must come before everything of Highway.
// clang-format off
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Lanes = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Lanes>;

constexpr int64_t kBlock = kLandmarkBlock;                // landmarks
constexpr int kVectors = kBlock / hn::MaxLanes(Lanes());  // per block

template <int kHeads>
HWY_ATTR void score_blocks(const LandmarkLogits& t, int64_t head, int64_t first, int64_t last) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t block = first; block < last; ++block) {
    const float* landmarks = t.landmarks + block * t.head_dim * kBlock;
    Vector sum[kHeads][kVectors];
    for (int h = 0; h < kHeads; ++h) {
      for (int v = 0; v < kVectors; ++v) sum[h][v] = hn::Zero(d);
    }
    for (int64_t i = 0; i < t.head_dim; ++i) {
      Vector landmark[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        landmark[v] = hn::LoadU(d, landmarks + i * kBlock + v * lanes);
      }
      for (int h = 0; h < kHeads; ++h) {
        const Vector q = hn::Set(d, t.query[(head + h) * t.query_stride + i]);
        for (int v = 0; v < kVectors; ++v) sum[h][v] = hn::MulAdd(q, landmark[v], sum[h][v]);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      float* logits = t.logits + (head + h) * t.stride + block * kBlock;
      for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[h][v], d, logits + v * lanes);
    }
  }
}

HWY_ATTR void landmark_logits(const LandmarkLogits& task, int64_t first, int64_t last) {
  // One block for all heads before the next: it is read from memory once.
  constexpr int kHeads = kVectors > 2 ? 2 : 4;
  for (int64_t block = first; block < last; ++block) {
    int64_t head = 0;
    for (; head + kHeads <= task.group; head += kHeads) {
      score_blocks<kHeads>(task, head, block, block + 1);
    }
    for (; head + 2 <= task.group; head += 2) score_blocks<2>(task, head, block, block + 1);
    for (; head < task.group; ++head) score_blocks<1>(task, head, block, block + 1);
  }
}

HWY_ATTR float log_sum_exp(const float* logits, int64_t count) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  Vector largest = hn::LoadU(d, logits);
  for (int64_t i = lanes; i < count; i += lanes) {
    largest = hn::Max(largest, hn::LoadU(d, logits + i));
  }
  const Vector shift = hn::MaxOfLanes(d, largest);
  Vector sum = hn::Zero(d);
  for (int64_t i = 0; i < count; i += lanes) {
    sum = hn::Add(sum, hn::Exp(d, hn::Sub(hn::LoadU(d, logits + i), shift)));
  }
  return hn::GetLane(shift) + std::log(hn::GetLane(hn::SumOfLanes(d, sum)));
}

HWY_ATTR void rank_scores(float* logits, int64_t group, int64_t num_candidates, int64_t stride,
                          float* scores) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t h = 0; h < group; ++h) {
    float* row = logits + h * stride;
    for (int64_t i = num_candidates; i < stride; ++i) {
      row[i] = -std::numeric_limits<float>::infinity();
    }
    // A lone head needs no normalising: the constant does not change the order.
    const Vector constant = hn::Set(d, group == 1 ? 0.0f : log_sum_exp(row, stride));
    for (int64_t i = 0; i < stride; i += lanes) {
      const Vector score = hn::Sub(hn::LoadU(d, row + i), constant);
      hn::StoreU(h == 0 ? score : hn::Max(score, hn::LoadU(d, scores + i)), d, scores + i);
    }
  }
}

}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(landmark_logits);
HWY_EXPORT(rank_scores);

void landmark_logits(const LandmarkLogits& task, int64_t first_block, int64_t last_block) {
  HWY_DYNAMIC_DISPATCH(landmark_logits)(task, first_block, last_block);
}

void rank_scores(float* logits, int64_t group, int64_t num_candidates, int64_t stride,
                 float* scores) {
  HWY_DYNAMIC_DISPATCH(rank_scores)(logits, group, num_candidates, stride, scores);
}

}  // namespace gnomon::cpu
#endif
