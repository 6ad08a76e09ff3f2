#include "cpu/available_memory.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

using namespace gnomon::cpu;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kMebi = int64_t{1} << 20;

/// A file system root with 1000 MiB available.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "gnomon-memory-XXXXXX").string();
    path_ = mkdtemp(name.data());
    write("proc/meminfo", "MemTotal: 4096000 kB\nMemFree: 1 kB\nMemAvailable: 1024000 kB\n");
  }
  ~FakeRoot() { fs::remove_all(path_); }

  void write(const fs::path& file, const std::string& text) {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string bytes(int64_t mebibytes) { return std::to_string(mebibytes * kMebi) + "\n"; }

}  // namespace

TEST_CASE("available_memory: without control groups it is what the machine has available") {
  FakeRoot root;
  CHECK(available_memory_bytes(root.path()) == 1000 * kMebi);
}

TEST_CASE("available_memory: the tightest group of the process or above it counts") {
  FakeRoot root;
  root.write("proc/self/cgroup", "0::/service/worker\n");
  root.write("sys/fs/cgroup/service/worker/memory.max", "max\n");
  root.write("sys/fs/cgroup/service/memory.max", bytes(500));
  root.write("sys/fs/cgroup/service/memory.current", bytes(300));
  root.write("sys/fs/cgroup/service/memory.stat", "anon 5\ninactive_file 104857600\n");
  CHECK(available_memory_bytes(root.path()) == 300 * kMebi);
}

TEST_CASE("available_memory: a container sees its own limit at the mount point") {
  FakeRoot root;
  root.write("proc/self/cgroup", "0::/../../outside\n");
  root.write("sys/fs/cgroup/memory.max", bytes(200));
  root.write("sys/fs/cgroup/memory.current", bytes(150));
  CHECK(available_memory_bytes(root.path()) == 50 * kMebi);
}

TEST_CASE("available_memory: limits of control groups version 1 count") {
  FakeRoot root;
  root.write("proc/self/cgroup", "7:memory:/job\n3:cpu,cpuacct:/job\n");
  root.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", bytes(400));
  root.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", bytes(100));
  CHECK(available_memory_bytes(root.path()) == 300 * kMebi);
}

TEST_CASE("available_memory: a group over its limit leaves nothing") {
  FakeRoot root;
  root.write("proc/self/cgroup", "0::/\n");
  root.write("sys/fs/cgroup/memory.max", bytes(100));
  root.write("sys/fs/cgroup/memory.current", bytes(120));
  CHECK(available_memory_bytes(root.path()) == 0);
}
