// Where the time of a decode step goes on the GPU: a library that CUPTI loads into any program.
//
//   CUDA_INJECTION64_PATH=libkernel_trace.so GNOMON_TRACE=trace.json bench ...
//
// At the end it writes, for the last GNOMON_TRACE_MS (200) milliseconds in which the device worked,
// every kernel's calls, busy time and last launch, and for how long any kernel, and any but the
// gathers of values, was running. GNOMON_TRACE_SPANS=spans.txt gets a line for each run of a kernel
// in that window: start and end in nanoseconds, and its name.

#include <cupti.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

/// How a kernel was launched: blocks, threads of a block, registers of a thread, shared bytes of a
/// block.
struct Launch {
  int blocks = 0, threads = 0, registers = 0, shared_bytes = 0;
};

struct Span {
  uint64_t start, end;
  std::string name;
  Launch launch;
};

std::mutex mutex;
std::vector<Span> spans;

void CUPTIAPI hand_out(uint8_t** buffer, size_t* size, size_t* records) {
  *size = size_t{8} << 20;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, *size));
  *records = 0;
}

Launch launch_of(const CUpti_ActivityKernel9& kernel) {
  return {kernel.gridX * kernel.gridY * kernel.gridZ, kernel.blockX * kernel.blockY * kernel.blockZ,
          kernel.registersPerThread, kernel.staticSharedMemory + kernel.dynamicSharedMemory};
}

void CUPTIAPI take_back(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  std::lock_guard lock(mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
    const auto* kernel = reinterpret_cast<CUpti_ActivityKernel9*>(record);
    spans.push_back({kernel->start, kernel->end, kernel->name, launch_of(*kernel)});
  }
  std::free(buffer);
}

/// Length of the union of the spans that `counts`, which are in order of their starts.
template <typename Counts>
uint64_t covered(const std::vector<Span>& in, Counts counts) {
  uint64_t total = 0, until = 0;
  for (const Span& span : in) {
    if (!counts(span)) continue;
    const uint64_t from = std::max(span.start, until);
    if (span.end > from) total += span.end - from;
    until = std::max(until, span.end);
  }
  return total;
}

void write_spans(const char* path) {
  std::FILE* out = std::fopen(path, "w");
  if (out == nullptr) return;
  const unsigned long long from = spans.front().start;
  for (const Span& span : spans) {
    std::fprintf(out, "%llu %llu %s\n", span.start - from, span.end - from, span.name.c_str());
  }
  std::fclose(out);
}

void write() {
  cuptiActivityFlushAll(1);
  std::lock_guard lock(mutex);
  const char* path = std::getenv("GNOMON_TRACE");
  const char* window = std::getenv("GNOMON_TRACE_MS");
  std::FILE* out = std::fopen(path == nullptr ? "trace.json" : path, "w");
  if (out == nullptr || spans.empty()) return;
  std::ranges::sort(spans, {}, &Span::start);
  const uint64_t last = spans.back().end;
  const uint64_t length = std::strtoull(window == nullptr ? "200" : window, nullptr, 10) * 1000000;
  std::erase_if(spans, [&](const Span& span) { return span.start + length < last; });
  if (const char* path = std::getenv("GNOMON_TRACE_SPANS")) write_spans(path);
  struct Sums {
    int calls = 0;
    uint64_t busy = 0;
    Launch last;
  };
  std::map<std::string, Sums> kernels;
  for (const Span& span : spans) {
    Sums& sums = kernels[span.name];
    ++sums.calls;
    sums.busy += span.end - span.start;
    sums.last = span.launch;
  }
  const auto is_gather = [](const Span& s) { return s.name.find("gather") != std::string::npos; };
  const double from = static_cast<double>(spans.front().start);
  std::fprintf(out,
               "{\"window_ms\": %.3f, \"any_kernel_ms\": %.3f, \"but_gathers_ms\": %.3f, "
               "\"gathers_ms\": %.3f, \"kernels\": [\n",
               (last - from) / 1e6, covered(spans, [](const Span&) { return true; }) / 1e6,
               covered(spans, [&](const Span& s) { return !is_gather(s); }) / 1e6,
               covered(spans, is_gather) / 1e6);
  const char* separator = "";
  for (const auto& [name, sums] : kernels) {
    std::fprintf(out,
                 "%s{\"name\": \"%s\", \"calls\": %d, \"ms\": %.3f, \"us_per_call\": %.2f, "
                 "\"blocks\": %d, \"threads\": %d, \"registers\": %d, \"shared_bytes\": %d}",
                 separator, name.c_str(), sums.calls, sums.busy / 1e6, sums.busy / 1e3 / sums.calls,
                 sums.last.blocks, sums.last.threads, sums.last.registers, sums.last.shared_bytes);
    separator = ",\n";
  }
  std::fprintf(out, "]}\n");
  std::fclose(out);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  if (cuptiActivityRegisterCallbacks(hand_out, take_back) != CUPTI_SUCCESS) return 0;
  if (cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) return 0;
  std::atexit(write);
  return 1;
}
