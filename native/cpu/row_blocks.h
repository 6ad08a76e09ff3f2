#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/thread_pool.h"

namespace gnomon::cpu {

/// Runs body(row) for every row, in blocks of about 16K elements: enough work to be worth handing
/// to another thread.
template <typename Body>
void for_each_row(ThreadPool& pool, int64_t rows, int64_t cols, const Body& body) {
  const int64_t block = std::max<int64_t>(1, 16384 / cols);
  pool.parallel_for((rows + block - 1) / block, [&](int64_t index, int64_t) {
    const int64_t end = std::min(rows, (index + 1) * block);
    for (int64_t row = index * block; row < end; ++row) body(row);
  });
}

}  // namespace gnomon::cpu
