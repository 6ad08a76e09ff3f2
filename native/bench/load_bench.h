#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/backend.h"

namespace gnomon {

/// Writes a checkpoint of `config` with random bytes for weights, in shards as published ones are.
void write_random_checkpoint(const ModelConfig& config, const std::filesystem::path& dir);

/// Loads the checkpoint twice, so that the second comes from the page cache, and tells of both.
nlohmann::json time_loading(const std::filesystem::path& dir, const std::string& device,
                            const BackendOptions& options);

}  // namespace gnomon
