#include "engine/control_groups.h"

#include <fstream>
#include <sstream>

namespace gnomon {

namespace {

namespace fs = std::filesystem;

bool lists(const std::string& controllers, const std::string& controller) {
  std::istringstream in(controllers);
  for (std::string each; std::getline(in, each, ',');) {
    if (each == controller) return true;
  }
  return false;
}

/// Path of this process's group below its mount point, from the lines "id:controllers:path" of the
/// kernel: version 2 names no controllers. Empty for the root group.
fs::path group_of_process(const fs::path& root, const std::string& controller) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : lists(controllers, controller)) {
      return fs::path(line.substr(second + 1)).relative_path();
    }
  }
  return {};
}

std::vector<fs::path> up_to(const fs::path& mount, fs::path group) {
  std::vector<fs::path> folders;
  for (; !group.empty(); group = group.parent_path()) folders.push_back(mount / group);
  folders.push_back(mount);
  return folders;
}

}  // namespace

ControlGroups control_groups(const fs::path& root, const std::string& controller) {
  const fs::path mount = root / "sys/fs/cgroup";
  return {up_to(mount, group_of_process(root, "")),
          up_to(mount / controller, group_of_process(root, controller))};
}

std::optional<int64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  int64_t value;
  if (in >> value) return value;
  return std::nullopt;
}

std::optional<int64_t> field_in(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    int64_t value;
    if (word == name && in >> value) return value;
    in.clear();
  }
  return std::nullopt;
}

}  // namespace gnomon
