#include "cpu/summarise.h"

#include <algorithm>
#include <vector>

#include "cpu/head_rows.h"
#include "cpu/landmarks.h"
#include "cpu/low_rank.h"
#include "cpu/outliers.h"

namespace gnomon::cpu {

namespace {

constexpr int64_t kCopyTokens = 1024;    // per task
constexpr int64_t kMeasureChunks = 128;  // per task

int64_t parts(int64_t count, int64_t per_part) { return (count + per_part - 1) / per_part; }

/// Copies one head's columns of rows [first, first + count) of `source` (_, key_width).
void copy_head(Matrix source, int64_t kv_head, int64_t head_dim, int64_t first, int64_t count,
               float* rows) {
  for (int64_t i = 0; i < count; ++i) {
    store_head(row(source, first + i) + kv_head * head_dim, head_dim,
               rows + i * whole_vectors(head_dim));
  }
}

void store_dense(Context& context, int64_t layer, Matrix key, Matrix value, CpuCache& cache) {
  const int64_t pieces = parts(key.rows, kCopyTokens);
  const int64_t head_dim = cache.head_dim();
  context.pool.parallel_for(context.config.num_kv_heads * pieces, [&](int64_t task, int64_t) {
    const int64_t kv_head = task / pieces;
    const int64_t first = task % pieces * kCopyTokens;
    const int64_t count = std::min(kCopyTokens, key.rows - first);
    DenseHead& head = cache.dense(layer, kv_head);
    copy_head(key, kv_head, head_dim, first, count, head.keys + first * cache.head_stride());
    copy_head(value, kv_head, head_dim, first, count, head.values + first * cache.head_stride());
  });
}

void store_values(Context& context, int64_t layer, Matrix value, CpuCache& cache) {
  const int64_t pieces = parts(value.rows, kCopyTokens);
  context.pool.parallel_for(context.config.num_kv_heads * pieces, [&](int64_t task, int64_t) {
    const int64_t kv_head = task / pieces;
    const int64_t first = task % pieces * kCopyTokens;
    copy_head(value, kv_head, cache.head_dim(), first, std::min(kCopyTokens, value.rows - first),
              cache.sparse(layer, kv_head).values + first * cache.head_stride());
  });
}

/// factor and basis with factor * basis ~ key_pre_rope.
void factorise(Context& context, int64_t layer, Matrix key_pre_rope, CpuCache& cache) {
  const CacheGeometry& geometry = cache.geometry();
  const int64_t width = key_pre_rope.cols;
  const std::vector<double> basis =
      leading_eigenvectors(gram_matrix(context.pool, key_pre_rope), width, geometry.rank);
  project(context.pool, key_pre_rope, geometry.context_tokens(), basis, geometry.rank,
          cache.factor(layer));
  std::vector<float> transposed(cache.head_dim());
  for (int64_t kv_head = 0; kv_head < context.config.num_kv_heads; ++kv_head) {
    float* rows = cache.sparse(layer, kv_head).basis;
    for (int64_t i = 0; i < geometry.rank; ++i) {
      for (int64_t j = 0; j < cache.head_dim(); ++j) {
        transposed[j] =
            static_cast<float>(basis[(kv_head * cache.head_dim() + j) * geometry.rank + i]);
      }
      store_head(transposed.data(), cache.head_dim(), rows + i * cache.head_stride());
    }
  }
}

/// Splits the chunks of one KV head into outliers, whose keys are copied, and candidates, which
/// get a landmark. means (num_chunks, head_dim), min_cosines (num_chunks).
void store_chunks(int64_t kv_head, Matrix key, const float* means,
                  std::span<const float> min_cosines, SparseHead& head, const CpuCache& cache) {
  const CacheGeometry& geometry = cache.geometry();
  const int64_t head_dim = cache.head_dim();
  const std::vector<int32_t> outliers = pick_outliers(min_cosines, geometry.num_outlier_chunks);
  std::copy(outliers.begin(), outliers.end(), head.outliers);
  int64_t next_outlier = 0, candidate = 0;
  for (int32_t chunk = 0; chunk < geometry.num_chunks; ++chunk) {
    if (next_outlier < geometry.num_outlier_chunks && outliers[next_outlier] == chunk) {
      copy_head(key, kv_head, head_dim, chunk * geometry.chunk_size, geometry.chunk_size,
                head.outlier_keys + next_outlier * geometry.chunk_size * cache.head_stride());
      ++next_outlier;
    } else {
      head.candidates[candidate] = chunk;
      store_landmark(means + chunk * head_dim, head_dim, candidate, head.landmarks);
      ++candidate;
    }
  }
  const std::vector<float> zeros(head_dim, 0.0f);
  for (; candidate % kLandmarkBlock != 0; ++candidate) {
    store_landmark(zeros.data(), head_dim, candidate, head.landmarks);
  }
  copy_head(key, kv_head, head_dim, geometry.context_tokens(), geometry.local_tokens(),
            head.local_keys);
}

void store_keys(Context& context, int64_t layer, Matrix key, CpuCache& cache) {
  const CacheGeometry& geometry = cache.geometry();
  const int64_t num_kv_heads = context.config.num_kv_heads;
  const int64_t head_dim = cache.head_dim();
  std::vector<float> means(num_kv_heads * geometry.num_chunks * head_dim);
  std::vector<float> min_cosines(num_kv_heads * geometry.num_chunks);
  const int64_t pieces = parts(geometry.num_chunks, kMeasureChunks);
  context.pool.parallel_for(num_kv_heads * pieces, [&](int64_t task, int64_t) {
    const int64_t kv_head = task / pieces;
    const HeadKeys keys{floats(key) + kv_head * head_dim, key.cols, head_dim};
    const int64_t first = task % pieces * kMeasureChunks;
    const int64_t last = std::min(first + kMeasureChunks, geometry.num_chunks);
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const int64_t index = kv_head * geometry.num_chunks + chunk;
      float* mean = means.data() + index * head_dim;
      mean_key(keys, chunk * geometry.chunk_size, geometry.chunk_size, mean);
      min_cosines[index] = min_cosine(keys, chunk * geometry.chunk_size, geometry.chunk_size, mean);
    }
  });
  context.pool.parallel_for(num_kv_heads, [&](int64_t kv_head, int64_t) {
    const int64_t index = kv_head * geometry.num_chunks;
    store_chunks(kv_head, key, means.data() + index * head_dim,
                 std::span(min_cosines).subspan(index, geometry.num_chunks),
                 cache.sparse(layer, kv_head), cache);
  });
}

}  // namespace

void summarise(Context& context, int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
               CpuCache& cache) {
  if (cache.geometry().dense) {
    store_dense(context, layer, key, value, cache);
    return;
  }
  factorise(context, layer, key_pre_rope, cache);
  store_keys(context, layer, key, cache);
  store_values(context, layer, value, cache);
}

}  // namespace gnomon::cpu
