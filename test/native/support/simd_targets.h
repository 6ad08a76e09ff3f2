#pragma once
#include "cpu/simd_targets.h"
// Reads the disabled targets, so it comes second.
#include <hwy/targets.h>

namespace gnomon::test {

/// Runs body(name) once for every instruction set that kernels are compiled for and this machine
/// has.
template <typename Body>
void for_each_simd_target(const Body& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace gnomon::test
