// 2^x, vectorised. Compiled once per instruction set, like tile_product-inl.h.

#if defined(GNOMON_CPU_EXP2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GNOMON_CPU_EXP2_INL_H_
#undef GNOMON_CPU_EXP2_INL_H_
#else
#define GNOMON_CPU_EXP2_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr float kLog2E = 1.44269504f;

/// 2^x for x <= 126, zero below -125. Relative error under 2e-7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  // Adding 1.5 * 2^23 rounds x to the integer n, which is then in the low bits of the sum.
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));
  // Minimax polynomial of 2^f on [-1/2, 1/2], relative error 2e-9.
  V p = hn::Set(d, 1.5345812e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.33999312e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.61848896e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.55032878e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.40226469e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.93147206e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  // 2^n goes straight into the exponent.
  const hn::RebindToSigned<D> di;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  const V power = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -125.0f)), power);
}

}  // namespace
}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
