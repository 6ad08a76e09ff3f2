#pragma once
#include <cstdint>
#include <filesystem>

namespace gnomon::cpu {

/// Bytes this process may still take without swapping: what the machine has available, or what the
/// tightest control group around the process leaves, whichever is less. `root` is the file system
/// root, given by tests.
int64_t available_memory_bytes(const std::filesystem::path& root = "/");

}  // namespace gnomon::cpu
