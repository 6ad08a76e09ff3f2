#include "cpu/available_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace gnomon::cpu {

namespace {

namespace fs = std::filesystem;

/// The number after `name` in a file of "name value" lines.
std::optional<int64_t> field(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    int64_t value;
    if (word == name && in >> value) return value;
    in.clear();
  }
  return std::nullopt;
}

std::optional<int64_t> number(const fs::path& file) {
  std::ifstream in(file);
  int64_t value;  // an unlimited group says "max", which is no number
  if (in >> value) return value;
  return std::nullopt;
}

/// What a group's limit leaves. Cached file pages count as used but give way.
int64_t left_in_group(std::optional<int64_t> limit, std::optional<int64_t> usage,
                      std::optional<int64_t> cached) {
  if (!limit) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, *limit - usage.value_or(0) + cached.value_or(0));
}

/// Path of this process's group below the mount point; empty for the root group.
fs::path group_of_process(const fs::path& root, const std::string& prefix) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(prefix);
    if (at != std::string::npos) return fs::path(line.substr(at + prefix.size())).relative_path();
  }
  return {};
}

int64_t left_in_groups(const fs::path& root) {
  int64_t left = std::numeric_limits<int64_t>::max();
  const fs::path unified = root / "sys/fs/cgroup";
  // Limits of parents hold too. In a container the path may not exist: its root then is the group.
  for (fs::path group = group_of_process(root, "0::");; group = group.parent_path()) {
    const fs::path dir = unified / group;
    left = std::min(left, left_in_group(number(dir / "memory.max"), number(dir / "memory.current"),
                                        field(dir / "memory.stat", "inactive_file")));
    if (group.empty()) break;
  }
  const fs::path legacy = root / "sys/fs/cgroup/memory";
  for (fs::path group = group_of_process(root, ":memory:");; group = group.parent_path()) {
    const fs::path dir = legacy / group;
    left = std::min(left, left_in_group(number(dir / "memory.limit_in_bytes"),
                                        number(dir / "memory.usage_in_bytes"),
                                        field(dir / "memory.stat", "total_inactive_file")));
    if (group.empty()) break;
  }
  return left;
}

}  // namespace

int64_t available_memory_bytes(const fs::path& root) {
  const std::optional<int64_t> kibibytes = field(root / "proc/meminfo", "MemAvailable:");
  const int64_t machine =
      kibibytes ? *kibibytes * 1024
                : static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(machine, left_in_groups(root));
}

}  // namespace gnomon::cpu
