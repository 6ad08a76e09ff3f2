#include "engine/available_cores.h"

#include <doctest/doctest.h>
#include <sched.h>

#include "test/native/support/temp_dir.h"

using namespace gnomon;
using gnomon::test::TempDir;

namespace {

int64_t cores_here() {
  cpu_set_t set;
  REQUIRE(sched_getaffinity(0, sizeof(set), &set) == 0);
  return CPU_COUNT(&set);
}

}  // namespace

TEST_CASE("available_cores: without a quota they are those that the process may run on") {
  TempDir root;
  CHECK(available_cores(root.path()) == cores_here());
  root.write("proc/self/cgroup", "0::/job\n4:cpu,cpuacct:/job\n");
  root.write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  CHECK(available_cores(root.path()) == cores_here());
}

TEST_CASE("available_cores: a quota pays for its whole cores, and for one at least") {
  TempDir root;
  root.write("proc/self/cgroup", "0::/job\n");
  for (const char* max : {"190000 100000\n", "100000 100000\n", "20000 100000\n"}) {
    root.write("sys/fs/cgroup/job/cpu.max", max);
    CHECK(available_cores(root.path()) == 1);
  }
  root.write("sys/fs/cgroup/job/cpu.max", "100000000 100000\n");
  CHECK(available_cores(root.path()) == cores_here());
}

TEST_CASE("available_cores: the tightest quota of the process's group or one above it counts") {
  TempDir root;
  root.write("proc/self/cgroup", "0::/pod/container\n");
  root.write("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/pod/cpu.max", "50000 50000\n");
  CHECK(available_cores(root.path()) == 1);
}

TEST_CASE("available_cores: a container sees its own quota at the mount point") {
  TempDir root;
  root.write("proc/self/cgroup", "0::/../../outside\n");
  root.write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  CHECK(available_cores(root.path()) == 1);
}

TEST_CASE("available_cores: quotas of control groups version 1 count") {
  TempDir root;
  root.write("proc/self/cgroup", "7:memory:/other\n3:cpu,cpuacct:/job\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "150000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  CHECK(available_cores(root.path()) == 1);
}
