#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace gnomon {

/// Tokens whose weights softmax_weights adds up together.
constexpr size_t kSoftmaxBlock = 1024;

/// Sets weights[i] to exp((logits[i] - largest logit) / temperature): the likeliest weighs 1, and
/// what would weigh less than `least` nothing. Relative error of a weight above 1e-8: under 1e-5.
/// Returns the sum of every kSoftmaxBlock weights.
std::vector<double> softmax_weights(std::span<const float> logits, double temperature, double least,
                                    std::span<float> weights);

}  // namespace gnomon
