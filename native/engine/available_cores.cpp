#include "engine/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <thread>

#include "engine/control_groups.h"

namespace gnomon {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

int64_t cores_to_run_on() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return std::max(1u, std::thread::hardware_concurrency());
}

/// Microseconds of CPU time in each period. No quota, or version 1's -1, is no limit.
int64_t cores_of(std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (quota.value_or(-1) <= 0 || period.value_or(0) <= 0) return kUnlimited;
  return std::max<int64_t>(1, *quota / *period);
}

/// `cpu.max` of version 2: "quota period", or "max period".
int64_t cores_of_max(const fs::path& file) {
  std::ifstream in(file);
  int64_t quota, period;
  return in >> quota >> period ? cores_of(quota, period) : kUnlimited;
}

}  // namespace

int64_t available_cores(const fs::path& root) {
  int64_t cores = cores_to_run_on();
  const ControlGroups groups = control_groups(root, "cpu");
  for (const fs::path& group : groups.unified) {
    cores = std::min(cores, cores_of_max(group / "cpu.max"));
  }
  for (const fs::path& group : groups.legacy) {
    cores = std::min(cores, cores_of(number_in(group / "cpu.cfs_quota_us"),
                                     number_in(group / "cpu.cfs_period_us")));
  }
  return cores;
}

}  // namespace gnomon
