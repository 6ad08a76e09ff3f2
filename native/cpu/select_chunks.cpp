#include "cpu/select_chunks.h"

#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/select_chunks.cpp"
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::CappedTag<float, 16>;
using Ints = hn::Rebind<int32_t, Floats>;

constexpr int32_t kSignBit = std::numeric_limits<int32_t>::min();

/// Integers that order like the floats: the bits below the sign are flipped where it is set.
HWY_ATTR void order_keys(const float* scores, int64_t padded, int32_t* keys) {
  const Floats df;
  const Ints di;
  for (int64_t i = 0; i < padded; i += hn::Lanes(df)) {
    const auto bits = hn::BitCast(di, hn::LoadU(df, scores + i));
    const auto flip = hn::AndNot(hn::Set(di, kSignBit), hn::ShiftRight<31>(bits));
    hn::StoreU(hn::Xor(bits, flip), di, keys + i);
  }
}

HWY_ATTR int64_t count_at_least(const int32_t* keys, int64_t padded, int32_t threshold) {
  const Ints d;
  const auto below = hn::Set(d, threshold);
  auto count = hn::Zero(d);  // minus one for each key below the threshold
  for (int64_t i = 0; i < padded; i += hn::Lanes(d)) {
    count = hn::Add(count, hn::VecFromMask(d, hn::Lt(hn::LoadU(d, keys + i), below)));
  }
  return padded + hn::GetLane(hn::SumOfLanes(d, count));
}

/// The largest threshold that at least `count` keys reach, bit by bit from the top. Stops early
/// where exactly `count` do.
HWY_ATTR int32_t find_threshold(const int32_t* keys, int64_t padded, int64_t count) {
  uint32_t threshold = 0;  // offset by the sign bit, so that it counts up from the smallest key
  for (uint32_t bit = uint32_t{1} << 31; bit != 0; bit >>= 1) {
    const auto key = static_cast<int32_t>((threshold | bit) ^ static_cast<uint32_t>(kSignBit));
    const int64_t reached = count_at_least(keys, padded, key);
    if (reached >= count) threshold |= bit;
    if (reached == count) break;
  }
  return static_cast<int32_t>(threshold ^ static_cast<uint32_t>(kSignBit));
}

HWY_ATTR void select_chunks(const float* scores, int64_t num_scores, int64_t count,
                            int32_t* selected) {
  const Ints d;
  const int64_t lanes = hn::Lanes(d);
  const int64_t padded = (num_scores + 15) / 16 * 16;
  std::vector<int32_t> keys(padded);
  order_keys(scores, padded, keys.data());
  const int32_t threshold = find_threshold(keys.data(), padded, count);

  // Every key above the threshold is in; those equal to it, in order, while there is room.
  int64_t above = threshold == std::numeric_limits<int32_t>::max()
                      ? 0
                      : count_at_least(keys.data(), padded, threshold + 1);
  int64_t equal_left = count - above;
  int64_t found = 0;
  const auto limit = hn::Set(d, threshold);
  for (int64_t i = 0; i < padded && found < count; i += lanes) {
    if (hn::AllTrue(d, hn::Lt(hn::LoadU(d, keys.data() + i), limit))) continue;
    for (int64_t j = i; j < i + lanes && found < count; ++j) {
      if (keys[j] < threshold) continue;
      if (keys[j] == threshold && equal_left-- <= 0) continue;
      selected[found++] = static_cast<int32_t>(j);
    }
  }
}

}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(select_chunks);

void select_chunks(const float* scores, int64_t num_scores, int64_t count, int32_t* selected) {
  HWY_DYNAMIC_DISPATCH(select_chunks)(scores, num_scores, count, selected);
}

}  // namespace gnomon::cpu
#endif
