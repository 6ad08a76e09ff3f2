#include "engine/json.h"

#include <set>
#include <sstream>
#include <vector>

#include "engine/error.h"
#include "engine/mapped_file.h"

namespace gnomon {

using nlohmann::json;

namespace {

// The deepest file of a model directory nests four levels.
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxPrintable = 120;

/// What the document parser lets pass: depth, and names twice in one object (it keeps the last).
class StructureCheck final : public json::json_sax_t {
 public:
  explicit StructureCheck(const std::string& file) : file_(file) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(json::number_integer_t) override { return true; }
  bool number_unsigned(json::number_unsigned_t) override { return true; }
  bool number_float(json::number_float_t, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (names_.back().insert(name).second) return true;
    throw EngineError("invalid_model", file_ + ": \"" + printable(name) + "\" appears twice");
  }

  bool parse_error(size_t byte, const std::string&, const json::exception&) override {
    throw EngineError("invalid_model",
                      file_ + " is not valid JSON, at byte " + std::to_string(byte));
  }

 private:
  bool open() {
    if (names_.size() == kMaxDepth) {
      throw EngineError("invalid_model",
                        file_ + " nests deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    names_.emplace_back();
    return true;
  }
  bool close() {
    names_.pop_back();
    return true;
  }

  const std::string& file_;
  std::vector<std::set<std::string>> names_;  // of each object or array that is open
};

std::string show(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

json parse_json(std::string_view text, const std::string& file) {
  StructureCheck check(file);
  json::sax_parse(text, &check);
  json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) {
    throw EngineError("invalid_model", file + " does not hold a JSON object");
  }
  return parsed;
}

json read_json(const std::filesystem::path& path, size_t max_bytes) {
  const std::string name = path.filename().string();
  const MappedFile file(path);
  if (file.bytes().size() > max_bytes) {
    throw EngineError("invalid_model",
                      name + " is larger than " + std::to_string(max_bytes) + " bytes");
  }
  return parse_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                    name);
}

std::optional<int64_t> as_int64(const json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<int64_t>();
}

std::string printable(std::string_view name) {
  std::string out(name.substr(0, kMaxPrintable));
  if (name.size() > kMaxPrintable) {
    // Not in the middle of a UTF-8 sequence: the message becomes a JavaScript string.
    while (!out.empty() && (static_cast<unsigned char>(name[out.size()]) & 0xC0) == 0x80) {
      out.pop_back();
    }
    out += "...";
  }
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

JsonFields::JsonFields(const json& object, std::string file, std::string prefix)
    : object_(&object), file_(std::move(file)), prefix_(std::move(prefix)) {}

const json* JsonFields::find(const std::string& name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const json& JsonFields::require(const std::string& name) const {
  if (const json* value = find(name)) return *value;
  fail(name, "is missing");
}

std::optional<JsonFields> JsonFields::object(const std::string& name) const {
  const json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_object()) fail(name, "must be an object");
  return JsonFields(*value, file_, prefix_ + name + ".");
}

int64_t JsonFields::integer(const std::string& name, int64_t min, int64_t max) const {
  const auto value = as_int64(require(name));
  if (!value || *value < min || *value > max) {
    fail(name, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return *value;
}

int64_t JsonFields::integer_or(const std::string& name, int64_t absent, int64_t min,
                               int64_t max) const {
  return find(name) ? integer(name, min, max) : absent;
}

double JsonFields::number(const std::string& name, double min, double max) const {
  const json& value = require(name);
  if (!value.is_number() || !(value.get<double>() >= min && value.get<double>() <= max)) {
    fail(name, "must be a number from " + show(min) + " to " + show(max));
  }
  return value.get<double>();
}

double JsonFields::number_or(const std::string& name, double absent, double min, double max) const {
  return find(name) ? number(name, min, max) : absent;
}

bool JsonFields::flag_or(const std::string& name, bool absent) const {
  const json* value = find(name);
  if (!value) return absent;
  if (!value->is_boolean()) fail(name, "must be true or false");
  return value->get<bool>();
}

std::string JsonFields::text(const std::string& name) const {
  const json& value = require(name);
  if (!value.is_string()) fail(name, "must be a string");
  return value.get<std::string>();
}

std::string JsonFields::text_or(const std::string& name, const std::string& absent) const {
  return find(name) ? text(name) : absent;
}

void JsonFields::fail(const std::string& name, const std::string& reason) const {
  throw EngineError("invalid_model", file_ + ": " + prefix_ + name + " " + reason);
}

}  // namespace gnomon
