#include "cpu/available_memory.h"

#include <doctest/doctest.h>

#include <string>

#include "test/native/support/temp_dir.h"

using namespace gnomon::cpu;
using gnomon::test::TempDir;

namespace {

constexpr int64_t kMebi = int64_t{1} << 20;

/// A machine with 1000 MiB available.
struct Machine : TempDir {
  Machine() {
    write("proc/meminfo", "MemTotal: 4096000 kB\nMemFree: 1 kB\nMemAvailable: 1024000 kB\n");
  }
};

std::string bytes(int64_t mebibytes) { return std::to_string(mebibytes * kMebi) + "\n"; }

}  // namespace

TEST_CASE("available_memory: without control groups it is what the machine has available") {
  Machine root;
  CHECK(available_memory_bytes(root.path()) == 1000 * kMebi);
}

TEST_CASE("available_memory: the tightest group of the process or above it counts") {
  Machine root;
  root.write("proc/self/cgroup", "0::/service/worker\n");
  root.write("sys/fs/cgroup/service/worker/memory.max", "max\n");
  root.write("sys/fs/cgroup/service/memory.max", bytes(500));
  root.write("sys/fs/cgroup/service/memory.current", bytes(300));
  root.write("sys/fs/cgroup/service/memory.stat", "anon 5\ninactive_file 104857600\n");
  CHECK(available_memory_bytes(root.path()) == 300 * kMebi);
}

TEST_CASE("available_memory: a container sees its own limit at the mount point") {
  Machine root;
  root.write("proc/self/cgroup", "0::/../../outside\n");
  root.write("sys/fs/cgroup/memory.max", bytes(200));
  root.write("sys/fs/cgroup/memory.current", bytes(150));
  CHECK(available_memory_bytes(root.path()) == 50 * kMebi);
}

TEST_CASE("available_memory: limits of control groups version 1 count") {
  Machine root;
  root.write("proc/self/cgroup", "7:memory:/job\n3:cpu,cpuacct:/job\n");
  root.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", bytes(400));
  root.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", bytes(100));
  CHECK(available_memory_bytes(root.path()) == 300 * kMebi);
}

TEST_CASE("available_memory: a group over its limit leaves nothing") {
  Machine root;
  root.write("proc/self/cgroup", "0::/\n");
  root.write("sys/fs/cgroup/memory.max", bytes(100));
  root.write("sys/fs/cgroup/memory.current", bytes(120));
  CHECK(available_memory_bytes(root.path()) == 0);
}
