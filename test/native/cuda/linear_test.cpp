#include "cuda/linear.h"

#include <cmath>
#include <vector>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int64_t rows, inputs, outputs;
  bool bias, accumulate, fp32_out;
};

const Case kCases[] = {
    {1, 64, 48, false, false, false},     {3, 72, 40, true, false, false},
    {8, 4096, 6144, false, false, false}, {11, 1000, 5008, false, true, false},
    {17, 520, 4096, false, false, true},  {33, 256, 512, true, false, false},
    {70, 512, 96, false, true, false},
};

std::vector<double> widen(const std::vector<Element>& values) {
  std::vector<double> out;
  for (const Element value : values) out.push_back(to_float(value));
  return out;
}

/// y, read as double.
std::vector<double> multiply(const Case& c, const DeviceVector<Element>& x,
                             const DeviceVector<Element>& weight, const DeviceVector<Element>& bias,
                             const std::vector<Element>& before) {
  Linear linear(size_t{32} << 20);
  Product product{x.data(),  weight.data(), c.bias ? bias.data() : nullptr,
                  nullptr,   c.rows,        c.inputs,
                  c.outputs, c.accumulate,  c.fp32_out};
  const size_t count = c.rows * c.outputs;
  if (c.fp32_out) {
    std::vector<float> start(count, NAN);
    for (size_t i = 0; c.accumulate && i < count; ++i) {
      start[i] = to_float(before[i]);
    }
    const DeviceVector<float> y(start);
    product.y = y.data();
    linear.run(product, nullptr);
    const std::vector<float> got = y.read();
    return {got.begin(), got.end()};
  }
  std::vector<Element> start(count, to_element(NAN));
  if (c.accumulate) start = before;
  const DeviceVector<Element> y(start);
  product.y = y.data();
  linear.run(product, nullptr);
  return widen(y.read());
}

}  // namespace

TEST_CASE("CUDA matrix products match double precision, whatever their sizes") {
  NEEDS_GPU();
  for (const Case& c : kCases) {
    CAPTURE(c.rows);
    CAPTURE(c.inputs);
    CAPTURE(c.outputs);
    const auto x = random_elements(c.rows * c.inputs, 1),
               weight = random_elements(c.outputs * c.inputs, 2);
    const auto bias = random_elements(c.outputs, 3, 10),
               before = random_elements(c.rows * c.outputs, 4, 10);
    const DeviceVector<Element> x_there(x), weight_there(weight), bias_there(bias);
    const std::vector<double> got = multiply(c, x_there, weight_there, bias_there, before);

    const std::vector<double> xs = widen(x), weights = widen(weight), biases = widen(bias),
                              starts = widen(before);
    std::vector<double> want(c.rows * c.outputs);
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t output = 0; output < c.outputs; ++output) {
        double sum = c.bias ? biases[output] : 0;
        if (c.accumulate) sum += starts[row * c.outputs + output];
        for (int64_t i = 0; i < c.inputs; ++i) {
          sum += xs[row * c.inputs + i] * weights[output * c.inputs + i];
        }
        want[row * c.outputs + output] = sum;
      }
    }
    CHECK(relative_error(got, want) < (c.fp32_out ? 1e-5 : tolerance(4e-3, 1e-5)));
  }
}
