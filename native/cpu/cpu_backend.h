#pragma once
// What the files of this folder share: the element type is float, a Matrix is a float matrix.

#include "cpu/rope_table.h"
#include "engine/backend.h"
#include "engine/thread_pool.h"

namespace gnomon::cpu {

inline float* floats(Matrix m) { return static_cast<float*>(m.data); }
inline float* row(Matrix m, int64_t index) { return floats(m) + index * m.cols; }

/// What an operation runs with.
struct Context {
  const ModelConfig& config;
  ThreadPool& pool;
  RopeTable& rope;
};

}  // namespace gnomon::cpu
