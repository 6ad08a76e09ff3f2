#include "engine/softmax.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/softmax.cpp"
// foreach_target.h must come before everything of Highway.
// clang-format off
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gnomon::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr float kLowest = -200;  // of which the exponential is nothing

template <class D, class V = hn::Vec<D>>
HWY_INLINE V weight_of(D d, V logit, V largest, V scale, V least) {
  const V power = hn::Max(hn::Mul(hn::Sub(logit, largest), scale), hn::Set(d, kLowest));
  const V weight = hn::Exp(d, power);
  return hn::IfThenElseZero(hn::Ge(weight, least), weight);
}

float largest_of(const float* HWY_RESTRICT values, size_t count) {
  const HWY_FULL(float) d;
  const size_t lanes = hn::Lanes(d);
  float largest = values[0];
  size_t i = 0;
  if (count >= lanes) {
    auto most = hn::LoadU(d, values);
    for (; i + lanes <= count; i += lanes) most = hn::Max(most, hn::LoadU(d, values + i));
    largest = hn::GetLane(hn::MaxOfLanes(d, most));
  }
  for (; i < count; ++i) largest = std::max(largest, values[i]);
  return largest;
}

/// Returns the sum of the weights.
float weigh(const float* HWY_RESTRICT logits, size_t count, float largest, float scale, float least,
            float* HWY_RESTRICT weights) {
  const HWY_FULL(float) d;
  const hn::CappedTag<float, 1> one;
  const size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto weight = weight_of(d, hn::LoadU(d, logits + i), hn::Set(d, largest),
                                  hn::Set(d, scale), hn::Set(d, least));
    hn::StoreU(weight, d, weights + i);
    sum = hn::Add(sum, weight);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < count; ++i) {
    const auto weight = weight_of(one, hn::LoadU(one, logits + i), hn::Set(one, largest),
                                  hn::Set(one, scale), hn::Set(one, least));
    hn::StoreU(weight, one, weights + i);
    total += weights[i];
  }
  return total;
}

}  // namespace
}  // namespace gnomon::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon {

HWY_EXPORT(largest_of);
HWY_EXPORT(weigh);

std::vector<double> softmax_weights(std::span<const float> logits, double temperature, double least,
                                    std::span<float> weights) {
  const float largest = HWY_DYNAMIC_DISPATCH(largest_of)(logits.data(), logits.size());
  const auto scale =
      static_cast<float>(std::min<double>(1 / temperature, std::numeric_limits<float>::max()));
  const auto weigh_block = HWY_DYNAMIC_DISPATCH(weigh);
  std::vector<double> sums;
  for (size_t first = 0; first < logits.size(); first += kSoftmaxBlock) {
    const size_t count = std::min(kSoftmaxBlock, logits.size() - first);
    sums.push_back(weigh_block(logits.data() + first, count, largest, scale,
                               static_cast<float>(least), weights.data() + first));
  }
  return sums;
}

}  // namespace gnomon
#endif
