#include "engine/safetensors.h"

#include <algorithm>
#include <string_view>

#include "engine/error.h"
#include "engine/json.h"

namespace gnomon {

using nlohmann::json;

namespace {

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

[[noreturn]] void fail(const std::string& file_name, const std::string& reason) {
  throw EngineError("invalid_model", file_name + ": " + reason);
}

[[noreturn]] void fail(const std::string& file_name, std::string_view tensor,
                       const std::string& reason) {
  fail(file_name, "tensor " + printable(tensor) + " " + reason);
}

std::string_view header_text(std::span<const std::byte> file, const std::string& file_name) {
  if (file.size() < kLengthBytes) fail(file_name, "the file ends within its header length");
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    fail(file_name, "the header length " + std::to_string(length) + " is above the limit of " +
                        std::to_string(kMaxHeaderBytes));
  }
  if (length > file.size() - kLengthBytes) {
    fail(file_name, "the header of " + std::to_string(length) + " bytes does not fit the file of " +
                        std::to_string(file.size()));
  }
  return {reinterpret_cast<const char*>(file.data()) + kLengthBytes, length};
}

/// Bytes per element; 0 for a dtype the engine cannot read.
int64_t element_bytes(const std::string& dtype) {
  if (dtype == "F32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

std::vector<int64_t> read_integers(const JsonFields& fields, const std::string& name) {
  const json* list = fields.find(name);
  if (!list) fields.fail(name, "is missing");
  if (!list->is_array()) fields.fail(name, "must be a list");
  std::vector<int64_t> out;
  for (const json& item : *list) {
    const auto value = as_int64(item);
    if (!value || *value < 0) fields.fail(name, "must hold integers from 0 up");
    out.push_back(*value);
  }
  return out;
}

TensorEntry read_entry(const std::string& name, const json& value, std::span<const std::byte> data,
                       const std::string& file_name) {
  if (!value.is_object()) fail(file_name, name, "is not described by an object");
  const JsonFields fields(value, file_name, "tensor " + printable(name) + ": ");
  TensorEntry entry;
  entry.dtype = fields.text("dtype");
  entry.shape = read_integers(fields, "shape");

  const auto offsets = read_integers(fields, "data_offsets");
  if (offsets.size() != 2) fields.fail("data_offsets", "must be two integers");
  const auto [begin, end] = std::pair(offsets[0], offsets[1]);
  if (begin > end) fail(file_name, name, "ends before it begins");
  if (static_cast<uint64_t>(end) > data.size()) {
    fail(file_name, name,
         "ends at byte " + std::to_string(end) + " of " + std::to_string(data.size()) +
             " bytes of data");
  }
  entry.data = data.subspan(begin, end - begin);

  if (int64_t bytes = element_bytes(entry.dtype)) {
    for (const int64_t size : entry.shape) {
      if (__builtin_mul_overflow(bytes, size, &bytes)) fail(file_name, name, "is absurdly large");
    }
    if (bytes != end - begin) {
      fail(file_name, name,
           "has " + std::to_string(end - begin) + " bytes of data where its shape and dtype need " +
               std::to_string(bytes));
    }
  }
  return entry;
}

void check_metadata(const json& metadata, const std::string& file_name) {
  const bool strings =
      metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                          [](const json& value) { return value.is_string(); });
  if (!strings) fail(file_name, "__metadata__ must be an object of strings");
}

/// The format forbids overlap and holes; either is the mark of a file put together wrongly.
void check_coverage(const TensorTable& tensors, std::span<const std::byte> data,
                    const std::string& file_name) {
  std::vector<const TensorTable::value_type*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const auto& left = a->second.data;
    const auto& right = b->second.data;
    return std::pair(left.data(), left.size()) < std::pair(right.data(), right.size());
  });

  const std::byte* covered = data.data();
  for (const auto* tensor : order) {
    const auto& [name, entry] = *tensor;
    if (entry.data.data() < covered) fail(file_name, name, "overlaps another tensor");
    if (entry.data.data() > covered) fail(file_name, name, "follows a hole in the data");
    covered += entry.data.size();
  }
  const auto rest = static_cast<size_t>(data.data() + data.size() - covered);
  if (rest > 0) fail(file_name, std::to_string(rest) + " bytes at the end belong to no tensor");
}

}  // namespace

TensorTable parse_safetensors(std::span<const std::byte> file, const std::string& file_name) {
  const std::string_view header = header_text(file, file_name);
  const auto data = file.subspan(kLengthBytes + header.size());
  const json parsed = parse_json(header, file_name);

  TensorTable tensors;
  for (const auto& [name, value] : parsed.items()) {
    if (name == "__metadata__") {
      check_metadata(value, file_name);
    } else {
      tensors.emplace(name, read_entry(name, value, data, file_name));
    }
  }
  check_coverage(tensors, data, file_name);
  return tensors;
}

}  // namespace gnomon
