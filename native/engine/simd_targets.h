// Included before hwy/foreach_target.h in every file that is compiled once per instruction set.
// x86: one lane at a time, SSE4, AVX2 and AVX-512; the sets between gain nothing here and cost
// compile time.
// The kernels keep arrays of vectors, which scalable vectors (SVE) do not allow; NEON does.
#pragma once
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
