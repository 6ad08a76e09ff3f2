#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gnomon {

/// Folders of the control groups around this process, innermost first, under the file system root
/// `root`. The limits of each of them hold. In a container, which may not see the folder of its
/// group, the mount point stands for it.
struct ControlGroups {
  std::vector<std::filesystem::path> unified;  // version 2
  std::vector<std::filesystem::path> legacy;   // version 1, of one controller
};
ControlGroups control_groups(const std::filesystem::path& root, const std::string& controller);

/// The first number in a file; none where it begins with a word, as an unlimited group's "max", or
/// cannot be read.
std::optional<int64_t> number_in(const std::filesystem::path& file);

/// The number after `name` in a file of "name value" lines.
std::optional<int64_t> field_in(const std::filesystem::path& file, const std::string& name);

}  // namespace gnomon
