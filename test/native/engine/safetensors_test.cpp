#include "engine/safetensors.h"

#include <doctest/doctest.h>

#include <cctype>
#include <memory>
#include <random>

#include "engine/error.h"
#include "test/native/support/engine_error.h"
#include "test/native/support/safetensors_writer.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

/// Parses a copy that ends where its heap block ends, so that reading past it is seen, and reads
/// every byte of every tensor.
size_t parse_and_read(const std::string& file) {
  const auto copy = std::make_unique<std::byte[]>(file.size());
  for (size_t i = 0; i < file.size(); ++i) copy[i] = static_cast<std::byte>(file[i]);
  size_t read = 0;
  unsigned sum = 0;
  for (const auto& [name, entry] : parse_safetensors({copy.get(), file.size()}, "x.safetensors")) {
    for (const std::byte byte : entry.data) sum += std::to_integer<unsigned>(byte);
    read += entry.data.size();
  }
  CHECK(sum <= 255 * file.size());
  return read;
}

std::string sample_file() {
  return safetensors({{"a", "F32", {2, 3}, std::string(24, '\x11')},
                      {"b", "BF16", {4}, std::string(8, '\x22')},
                      {"c", "F16", {2, 1}, std::string(4, '\x33')}});
}

/// A header that describes tensor "t" alone.
std::string tensor_t(const std::string& dtype, const std::string& shape,
                     const std::string& offsets) {
  return R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

std::string nested(const std::string& open, const std::string& close, int depth) {
  std::string out;
  for (int i = 0; i < depth; ++i) out += open;
  for (int i = 0; i < depth; ++i) out += close;
  return out;
}

}  // namespace

TEST_CASE("safetensors: tensors are found where the header says") {
  const std::string file = sample_file();
  const auto bytes = std::as_bytes(std::span(file));
  const TensorTable tensors = parse_safetensors(bytes, "x.safetensors");

  REQUIRE(tensors.size() == 3);
  CHECK(tensors.at("a").dtype == "F32");
  CHECK(tensors.at("a").shape == std::vector<int64_t>{2, 3});
  CHECK(tensors.at("a").data.data() == bytes.data() + file.size() - 36);
  CHECK(tensors.at("a").data.size() == 24);
  CHECK(tensors.at("b").dtype == "BF16");
  CHECK(tensors.at("b").data.size() == 8);
  CHECK(tensors.at("c").shape == std::vector<int64_t>{2, 1});
  CHECK(tensors.at("c").data.data() + 4 == bytes.data() + file.size());
}

TEST_CASE("safetensors: scalars, empty tensors and dtypes the engine cannot read are tensors too") {
  const std::string file = safetensors({{"empty", "F32", {0, 7}, ""},
                                        {"scalar", "F16", {}, "ab"},
                                        {"quantized", "F8_E4M3", {3}, "xyz"},
                                        {"after", "BF16", {1, 0}, ""}});
  const auto tensors = parse_safetensors(std::as_bytes(std::span(file)), "x.safetensors");
  CHECK(tensors.size() == 4);
  CHECK(tensors.at("scalar").data.size() == 2);
  CHECK(tensors.at("quantized").dtype == "F8_E4M3");
  CHECK(parse_and_read(raw_safetensors("{}", "")) == 0);
}

TEST_CASE("safetensors: a damaged header is refused by name") {
  struct Damage {
    const char* what;
    std::string header;
    size_t data_bytes;
    std::string expected;
  };
  const std::string two = R"({"s":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)";
  const Damage table[] = {
      {"no JSON", "hello", 0, "x.safetensors is not valid JSON, at byte 1"},
      {"empty", "", 0, "not valid JSON"},
      {"blank", "        ", 0, "not valid JSON"},
      {"cut", R"({"t":{"dtype":)", 0, "not valid JSON"},
      {"text behind it", "{}x", 0, "not valid JSON"},
      {"invalid UTF-8", "{\"\xff\":1}", 0, "not valid JSON"},
      {"a number beyond double", R"({"t":1e999})", 0, "not valid JSON"},
      {"a list", "[]", 0, "does not hold a JSON object"},
      {"deep lists", R"({"t":)" + nested("[", "]", 100000) + "}", 0, "nests deeper"},
      {"deep objects", nested(R"({"t":)", "}", 100000), 0, "nests deeper"},
      {"unclosed depth", std::string(1000000, '['), 0, "nests deeper"},
      {"a name twice", two + two.substr(1, two.size() - 2) + "}", 8, "\"s\" appears twice"},
      {"a field twice", R"({"t":{"dtype":"F32","dtype":"F16"}})", 0, "\"dtype\" appears twice"},
      {"metadata", R"({"__metadata__":{"format":1}})", 0, "__metadata__"},
      {"no object", R"({"t":[0,8]})", 8, "tensor t is not described by an object"},
      {"null", R"({"t":null})", 8, "tensor t is not described by an object"},
      {"no dtype", R"({"t":{"shape":[2],"data_offsets":[0,8]}})", 8, "tensor t: dtype is missing"},
      {"dtype number", tensor_t("32", "[2]", "[0,8]"), 8, "tensor t: dtype must be a string"},
      {"no shape", R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, "t: shape is missing"},
      {"shape number", tensor_t("\"F32\"", "2", "[0,8]"), 8, "tensor t: shape must be a list"},
      {"negative extent", tensor_t("\"F32\"", "[-2,-1]", "[0,8]"), 8, "tensor t: shape must hold"},
      {"fraction", tensor_t("\"F32\"", "[2.0]", "[0,8]"), 8, "tensor t: shape must hold"},
      {"extent text", tensor_t("\"F32\"", "[\"2\"]", "[0,8]"), 8, "tensor t: shape must hold"},
      {"extent above int64", tensor_t("\"F32\"", "[9223372036854775808]", "[0,8]"), 8,
       "tensor t: shape must hold"},
      {"product wraps to 8", tensor_t("\"F32\"", "[4611686018427387905,2]", "[0,8]"), 8,
       "tensor t is absurdly large"},
      {"product wraps to 0", tensor_t("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0,
       "tensor t is absurdly large"},
      {"no offsets", R"({"t":{"dtype":"F32","shape":[2]}})", 8, "t: data_offsets is missing"},
      {"one offset", tensor_t("\"F32\"", "[2]", "[8]"), 8, "t: data_offsets must be two"},
      {"three offsets", tensor_t("\"F32\"", "[2]", "[0,8,8]"), 8, "t: data_offsets must be two"},
      {"negative offset", tensor_t("\"F32\"", "[2]", "[-8,0]"), 8, "t: data_offsets must hold"},
      {"reversed", tensor_t("\"F32\"", "[2]", "[8,0]"), 8, "tensor t ends before it begins"},
      {"beyond the file", tensor_t("\"F32\"", "[4]", "[0,16]"), 8, "tensor t ends at byte 16 of 8"},
      {"far beyond", tensor_t("\"F32\"", "[2]", "[9223372036854775799,9223372036854775807]"), 8,
       "tensor t ends at byte"},
      {"too few bytes", tensor_t("\"F32\"", "[3]", "[0,8]"), 8, "tensor t has 8 bytes"},
      {"too many bytes", tensor_t("\"F16\"", "[3]", "[0,8]"), 8, "tensor t has 8 bytes"},
      {"bytes behind the last", tensor_t("\"F32\"", "[2]", "[0,8]"), 9, "1 bytes at the end"},
      {"data without tensors", "{}", 4, "4 bytes at the end"},
      {"a hole before", tensor_t("\"F32\"", "[1]", "[4,8]"), 8, "tensor t follows a hole"},
      {"a hole between", two + R"("t":{"dtype":"F16","shape":[1],"data_offsets":[10,12]}})", 12,
       "tensor t follows a hole"},
      {"overlap", two + R"("t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
       "tensor t overlaps"},
      {"the same bytes", two + R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       "overlaps another tensor"},
      {"overlap of an unknown dtype",
       two + R"("t":{"dtype":"I4","shape":[9],"data_offsets":[7,12]}})", 12, "tensor t overlaps"},
  };
  for (const auto& damage : table) {
    CAPTURE(damage.what);
    const std::string file = raw_safetensors(damage.header, std::string(damage.data_bytes, 'x'));
    const std::string message = error_of("invalid_model", [&] { parse_and_read(file); });
    CAPTURE(message);
    CHECK(contains(message, damage.expected));
    CHECK(contains(message, "x.safetensors"));
  }
}

TEST_CASE("safetensors: a header length that cannot be is refused") {
  const auto message = [](const std::string& file) {
    return error_of("invalid_model", [&] { parse_and_read(file); });
  };
  CHECK(contains(message(""), "ends within its header length"));
  CHECK(contains(message("1234567"), "ends within its header length"));
  CHECK(contains(message(std::string("\x03\0\0\0\0\0\0\0{}", 10)), "does not fit the file"));
  CHECK(contains(message(std::string(8, '\xff') + "{}"), "above the limit"));
  CHECK(contains(message(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)), "above the limit"));
}

TEST_CASE("safetensors: names from a file are shown short and printable") {
  const std::string longest = std::string(119, 'n') + "\xc3\xa4" + std::string(5000, 'n');
  const std::string header = R"({")" + longest + R"(":{},"line\nbreak":{}})";
  const std::string message =
      error_of("invalid_model", [&] { parse_and_read(raw_safetensors(header, "")); });
  CHECK(message.size() < 400);
  CHECK(message.find('\n') == std::string::npos);
  const std::string cut = error_of("invalid_model", [&] {
    parse_and_read(raw_safetensors(R"({")" + longest + R"(":{}})", ""));
  });
  CHECK(contains(cut, std::string(119, 'n') + "...:"));
}

TEST_CASE("safetensors: a file cut anywhere is refused") {
  const std::string file = sample_file();
  CHECK(parse_and_read(file) == 36);
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    error_of("invalid_model", [&] { parse_and_read(file.substr(0, size)); });
  }
}

TEST_CASE("safetensors: random damage to the header never does worse than invalid_model") {
  const std::string file = sample_file();
  const size_t header_end = file.size() - 36;
  std::vector<size_t> digits;
  for (size_t i = 8; i < header_end; ++i) {
    if (std::isdigit(static_cast<unsigned char>(file[i]))) digits.push_back(i);
  }
  std::mt19937 random(20240611);
  int syntax = 0, meaning = 0, harmless = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string mutated = file;
    const bool numbers_only = round % 2 == 0;  // to reach past the JSON parser
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      if (numbers_only) {
        mutated[digits[random() % digits.size()]] = static_cast<char>('0' + random() % 10);
      } else {
        mutated[random() % header_end] = static_cast<char>(random());
      }
    }
    CAPTURE(round);
    try {
      const size_t read = parse_and_read(mutated);
      CHECK(read == 36);
      ++harmless;
    } catch (const EngineError& error) {
      CHECK_MESSAGE(error.code == "invalid_model", error.what());
      ++(contains(error.what(), "not valid JSON") ? syntax : meaning);
    }
  }
  CHECK(syntax > 300);
  CHECK(meaning > 300);
  CHECK(harmless > 0);
}
