#include "cpu/available_memory.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/control_groups.h"

namespace gnomon::cpu {

namespace {

namespace fs = std::filesystem;

/// What a group's limit leaves. Cached file pages count as used but give way.
int64_t left_in_group(std::optional<int64_t> limit, std::optional<int64_t> usage,
                      std::optional<int64_t> cached) {
  if (!limit) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, *limit - usage.value_or(0) + cached.value_or(0));
}

int64_t left_in_groups(const fs::path& root) {
  int64_t left = std::numeric_limits<int64_t>::max();
  const ControlGroups groups = control_groups(root, "memory");
  for (const fs::path& group : groups.unified) {
    left = std::min(
        left, left_in_group(number_in(group / "memory.max"), number_in(group / "memory.current"),
                            field_in(group / "memory.stat", "inactive_file")));
  }
  for (const fs::path& group : groups.legacy) {
    left = std::min(left, left_in_group(number_in(group / "memory.limit_in_bytes"),
                                        number_in(group / "memory.usage_in_bytes"),
                                        field_in(group / "memory.stat", "total_inactive_file")));
  }
  return left;
}

}  // namespace

int64_t available_memory_bytes(const fs::path& root) {
  const std::optional<int64_t> kibibytes = field_in(root / "proc/meminfo", "MemAvailable:");
  const int64_t machine =
      kibibytes ? *kibibytes * 1024
                : static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(machine, left_in_groups(root));
}

}  // namespace gnomon::cpu
