#pragma once
#include <doctest/doctest.h>

#include "engine/simd_targets.h"  // before Highway, as in the kernels
#include "hwy/targets.h"

namespace gnomon::test {

/// Runs `body` once with every instruction set that this machine and this build have.
template <typename Body>
void on_every_target(Body body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    CAPTURE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace gnomon::test
