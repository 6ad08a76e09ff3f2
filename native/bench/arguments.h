#pragma once
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/error.h"

namespace gnomon {

/// A command line of --name value pairs; of two of one name the later counts. Each is asked for
/// once; what nobody asked for is refused.
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc) {
        throw EngineError("invalid_options", "expected --name value, got " + name);
      }
      values_[name.substr(2)] = argv[i + 1];
    }
  }
  std::string text(const std::string& name, const std::string& otherwise) {
    const auto it = values_.find(name);
    if (it == values_.end()) return otherwise;
    const std::string value = it->second;
    values_.erase(it);
    return value;
  }
  int64_t number(const std::string& name, int64_t otherwise) {
    const std::string value = text(name, "");
    return value.empty() ? otherwise : std::stoll(value);
  }
  std::vector<std::string> list(const std::string& name, const std::string& otherwise) {
    std::vector<std::string> parts;
    std::stringstream stream(text(name, otherwise));
    for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
    return parts;
  }
  /// Throws invalid_options.
  void refuse_rest() const {
    for (const auto& [name, value] : values_) {
      throw EngineError("invalid_options", "unknown option --" + name);
    }
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace gnomon
