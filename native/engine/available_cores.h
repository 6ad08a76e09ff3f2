#pragma once
#include <cstdint>
#include <filesystem>

namespace gnomon {

/// Cores that this process may keep busy, at least 1: those it may run on, or as many whole ones as
/// the tightest CPU quota of a control group around it pays for, whichever is less. A team of more
/// threads would be stopped in the middle of a loop until its next period. `root` is the file
/// system root, given by tests.
int64_t available_cores(const std::filesystem::path& root = "/");

}  // namespace gnomon
