#include "cpu/silu_multiply.h"

#include "cpu/row_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/silu_multiply.cpp"
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Compiled for the target that foreach_target has chosen.
#include "cpu/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {
namespace {

template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu_product(D d, V gate, V up) {
  // Beyond 2^126 the quotient is zero to within the smallest floats anyway.
  const V power = hn::Min(hn::Mul(gate, hn::Set(d, -kLog2E)), hn::Set(d, 126.0f));
  return hn::Mul(hn::Div(gate, hn::Add(hn::Set(d, 1.0f), exp2(d, power))), up);
}

/// gate, up and out have `count` elements.
void silu_row(const float* HWY_RESTRICT gate, const float* HWY_RESTRICT up, int64_t count,
              float* HWY_RESTRICT out) {
  const HWY_FULL(float) d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(silu_product(d, hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, out + i);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) {
    hn::StoreU(silu_product(one, hn::LoadU(one, gate + i), hn::LoadU(one, up + i)), one, out + i);
  }
}

}  // namespace
}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(silu_row);

void silu_multiply(Context& context, Matrix gate_up, Matrix out) {
  const auto silu = HWY_DYNAMIC_DISPATCH(silu_row);
  for_each_row(context.pool, out.rows, out.cols, [&](int64_t i) {
    silu(row(gate_up, i), row(gate_up, i) + out.cols, out.cols, row(out, i));
  });
}

}  // namespace gnomon::cpu
#endif
