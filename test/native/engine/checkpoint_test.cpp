#include "engine/checkpoint.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "test/native/support/engine_error.h"
#include "test/native/support/safetensors_writer.h"
#include "test/native/support/temp_dir.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

using Shape = std::vector<int64_t>;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

const FileTensor kWeight{"w", "F32", {2, 1}, "12345678"};
const FileTensor kGain{"g", "BF16", {2}, "abcd"};

std::string bytes_of(const HostTensor& tensor, size_t size) {
  return {reinterpret_cast<const char*>(tensor.data), size};
}

std::string open_error(const TempDir& dir) {
  return error_of("invalid_model", [&] { Checkpoint checkpoint(dir.path()); });
}

std::string index_of(const std::string& weight_map) {
  return R"({"metadata":{"total_size":12},"weight_map":)" + weight_map + "}";
}

}  // namespace

TEST_CASE("checkpoint: tensors of the three dtypes are read back bit for bit") {
  const TempDir dir;
  dir.write(kSingle, safetensors({kWeight, kGain, {"h", "F16", {1, 1, 2}, "WXYZ"}}));
  const Checkpoint checkpoint(dir.path());

  const HostTensor weight = checkpoint.tensor("w", Shape{2, 1});
  CHECK(weight.name == "w");
  CHECK(weight.dtype == DType::f32);
  CHECK(weight.shape == Shape{2, 1});
  CHECK(bytes_of(weight, 8) == "12345678");
  CHECK(checkpoint.tensor("g", Shape{2}).dtype == DType::bf16);
  CHECK(bytes_of(checkpoint.tensor("g", Shape{2}), 4) == "abcd");
  CHECK(checkpoint.tensor("h", Shape{1, 1, 2}).dtype == DType::f16);
  CHECK(bytes_of(checkpoint.tensor("h", Shape{1, 1, 2}), 4) == "WXYZ");
}

TEST_CASE("checkpoint: what a tensor lacks is said when it is needed") {
  const TempDir dir;
  dir.write(kSingle, safetensors({kWeight, {"q", "F8_E4M3", {2}, "ab"}}));
  const Checkpoint checkpoint(dir.path());
  const auto message = [&](const std::string& name, const Shape& shape) {
    return error_of("invalid_model", [&] { checkpoint.tensor(name, shape); });
  };
  CHECK(message("w", {2, 2}) == "tensor w has shape [2, 1], expected [2, 2]");
  CHECK(message("w", {2}) == "tensor w has shape [2, 1], expected [2]");
  CHECK(message("absent", {2}) == "tensor absent is missing");
  CHECK(message("q", {2}) == "tensor q has dtype F8_E4M3; BF16, F16 and F32 are supported");
}

TEST_CASE("checkpoint: shards are joined by their index") {
  const TempDir dir;
  dir.write("one.safetensors", safetensors({kWeight, {"unlisted", "F16", {1}, "zz"}}));
  dir.write("two.safetensors", safetensors({kGain}));
  dir.write(kIndex, index_of(R"({"w":"one.safetensors","g":"two.safetensors"})"));
  const Checkpoint checkpoint(dir.path());
  CHECK(bytes_of(checkpoint.tensor("w", Shape{2, 1}), 8) == "12345678");
  CHECK(bytes_of(checkpoint.tensor("g", Shape{2}), 4) == "abcd");
  error_of("invalid_model", [&] { checkpoint.tensor("unlisted", Shape{1}); });
}

TEST_CASE("checkpoint: a damaged index is refused, naming the shard and the tensor") {
  const struct {
    const char* what;
    std::string index;
    std::string expected;
  } table[] = {
      {"no JSON", "{", "model.safetensors.index.json is not valid JSON"},
      {"empty", "", "model.safetensors.index.json is not valid JSON"},
      {"no map", "{}", "model.safetensors.index.json: weight_map is missing"},
      {"a list", index_of("[]"), "weight_map must be an object"},
      {"a number", index_of(R"({"w":1})"), "tensor w must be given a file name"},
      {"a missing shard", index_of(R"({"w":"three.safetensors"})"),
       "tensor w is placed in three.safetensors, which is missing"},
      {"another shard", index_of(R"({"g":"one.safetensors"})"),
       "tensor g is placed in one.safetensors, which does not hold it"},
      {"the parent", index_of(R"({"w":"../one.safetensors"})"),
       "tensor w is placed in \"../one.safetensors\", which is no plain file name"},
      {"dots", index_of(R"({"w":".."})"), "tensor w is placed in \"..\""},
      {"an absolute path", index_of(R"({"w":"/etc/passwd"})"), "no plain file name"},
      {"no name", index_of(R"({"w":""})"), "no plain file name"},
      {"a NUL", index_of(R"({"w":"one.safetensors\u0000"})"), "no plain file name"},
      {"a tensor twice", index_of(R"({"w":"one.safetensors","w":"two.safetensors"})"),
       "\"w\" appears twice"},
      {"itself", index_of(R"({"w":"model.safetensors.index.json"})"),
       "model.safetensors.index.json: the header length"},
      {"a damaged shard", index_of(R"({"w":"cut.safetensors"})"),
       "cut.safetensors: tensor w ends at byte 8 of 7"},
  };
  for (const auto& damage : table) {
    CAPTURE(damage.what);
    const TempDir dir;
    const std::string one = safetensors({kWeight});
    dir.write("one.safetensors", one);
    dir.write("cut.safetensors", one.substr(0, one.size() - 1));
    dir.write(kIndex, damage.index);
    const std::string message = open_error(dir);
    CAPTURE(message);
    CHECK(contains(message, damage.expected));
  }
}

TEST_CASE("checkpoint: what is no readable file is refused by its path") {
  const TempDir empty;
  CHECK(contains(open_error(empty), "has neither model.safetensors nor"));
  CHECK(contains(error_of("invalid_model", [&] { Checkpoint x(empty.path() / "absent"); }),
                 "absent has neither"));

  const TempDir folder;
  std::filesystem::create_directory(folder.path() / kSingle);
  CHECK(contains(open_error(folder), "model.safetensors is not a regular file"));

  const TempDir pipe;
  REQUIRE(::mkfifo((pipe.path() / kSingle).c_str(), 0600) == 0);
  CHECK(contains(open_error(pipe), "model.safetensors is not a regular file"));

  const TempDir blank;
  blank.write(kSingle, "");
  CHECK(contains(open_error(blank), "model.safetensors: the file ends"));
}

TEST_CASE("checkpoint: a mapped file cut anywhere is refused") {
  const TempDir dir;
  const std::string file = safetensors({kWeight, kGain});
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    dir.write(kSingle, file.substr(0, size));
    open_error(dir);
  }
}
