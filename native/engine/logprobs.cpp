#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/softmax.h"

namespace gnomon {

TokenLogprobs token_logprobs(std::span<const float> logits, uint32_t token, int64_t top) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<float> weights(logits.size());
  const std::vector<double> sums = softmax_weights(logits, 1, 0, weights);
  const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double normaliser = largest + std::log(total);
  const auto logprob = [&](uint32_t id) { return static_cast<float>(logits[id] - normaliser); };

  TokenLogprobs out;
  out.logprob = logprob(token);
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto count = std::min<int64_t>(top, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (int64_t i = 0; i < count; ++i) out.top.push_back({order[i], logprob(order[i])});
  return out;
}

}  // namespace gnomon
