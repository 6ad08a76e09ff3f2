#pragma once
// JSON of a model directory, which may be damaged: every failure is EngineError invalid_model
// naming the file and the field.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace gnomon {

/// Parses the object that `text`, the contents of `file`, is. Refuses deep nesting and a name that
/// appears twice in one object.
nlohmann::json parse_json(std::string_view text, const std::string& file);

/// Reads and parses a file of at most `max_bytes`.
nlohmann::json read_json(const std::filesystem::path& path, size_t max_bytes);

/// The number if it is an integer that fits.
std::optional<int64_t> as_int64(const nlohmann::json& value);

/// A name out of a file, fit for a message: control characters replaced, long ones cut.
std::string printable(std::string_view name);

/// The fields of one JSON object, checked as they are read. A null field counts as absent, as
/// Transformers treats it.
class JsonFields {
 public:
  /// `prefix` is put before field names in messages, e.g. "rope_scaling."
  JsonFields(const nlohmann::json& object, std::string file, std::string prefix = "");

  /// nullptr where the field is absent.
  const nlohmann::json* find(const std::string& name) const;
  std::optional<JsonFields> object(const std::string& name) const;

  int64_t integer(const std::string& name, int64_t min, int64_t max) const;
  int64_t integer_or(const std::string& name, int64_t absent, int64_t min, int64_t max) const;
  double number(const std::string& name, double min, double max) const;
  double number_or(const std::string& name, double absent, double min, double max) const;
  bool flag_or(const std::string& name, bool absent) const;
  std::string text(const std::string& name) const;
  std::string text_or(const std::string& name, const std::string& absent) const;

  [[noreturn]] void fail(const std::string& name, const std::string& reason) const;

 private:
  const nlohmann::json& require(const std::string& name) const;

  const nlohmann::json* object_;
  std::string file_;
  std::string prefix_;
};

}  // namespace gnomon
