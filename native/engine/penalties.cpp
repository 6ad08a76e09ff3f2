#include "engine/penalties.h"

#include <algorithm>

namespace gnomon {

Penalties::Penalties(const SamplingOptions& options, std::span<const uint32_t> prompt)
    : options_(options) {
  if (options.repetition_penalty == 1) return;
  seen_.assign(prompt.begin(), prompt.end());
  std::ranges::sort(seen_);
  seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
}

void Penalties::add(uint32_t token) {
  const bool is_new = generated_[token]++ == 0;
  if (!is_new || options_.repetition_penalty == 1) return;
  const auto place = std::ranges::lower_bound(seen_, token);
  if (place == seen_.end() || *place != token) seen_.insert(place, token);
}

void Penalties::apply(std::span<float> logits) const {
  const auto repetition = static_cast<float>(options_.repetition_penalty);
  for (const uint32_t token : seen_) {
    float& logit = logits[token];
    logit = logit > 0 ? logit / repetition : logit * repetition;
  }
  for (const auto& [token, count] : generated_) {
    logits[token] -= static_cast<float>(options_.presence_penalty +
                                        options_.frequency_penalty * static_cast<double>(count));
  }
}

}  // namespace gnomon
