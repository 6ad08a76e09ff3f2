#include "cuda/steer_queries.h"

#include <cmath>
#include <vector>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

constexpr int64_t kCount = 1000;

std::vector<float> floats(const DeviceVector<Element>& vector) {
  std::vector<float> values;
  for (const Element element : vector.read()) values.push_back(to_float(element));
  return values;
}

/// The query that comes of `own` after `before`.
std::vector<float> steer(float inertia, int32_t step, const std::vector<Element>& before,
                         const std::vector<Element>& own) {
  const DeviceVector<float> share(std::vector<float>{inertia});
  const DeviceVector<int32_t> counter(std::vector<int32_t>{step});
  const DeviceVector<Element> kept(before), query(own);
  steer_queries(share.data(), counter.data(), kept.data(), query.data(), kCount, nullptr);
  CHECK(floats(kept) == floats(query));
  return floats(query);
}

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double inner = 0, a_squares = 0, b_squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    inner += a[i] * b[i];
    a_squares += a[i] * a[i];
    b_squares += b[i] * b[i];
  }
  return inner / std::sqrt(a_squares * b_squares);
}

}  // namespace

TEST_CASE("cuda steer_queries: a query keeps its share of the one before, whatever its own is") {
  NEEDS_GPU();
  const std::vector<Element> own = random_elements(kCount, 1);
  std::vector<float> before_own;
  for (const Element element : own) before_own.push_back(to_float(element));
  CHECK(steer(1, 5, own, random_elements(kCount, 2)) == before_own);
  // `before` is the model's query again, as in a model that repeats itself.
  CHECK(std::abs(correlation(steer(0, 5, own, own), before_own)) < 0.1);
  CHECK(std::abs(correlation(steer(0, 5, own, own), steer(0, 6, own, own))) < 0.1);
  CHECK(std::abs(correlation(steer(0.6f, 5, own, own), before_own) - 0.6) < 0.1);
}
