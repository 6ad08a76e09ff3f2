#pragma once
#include <span>

#include "engine/engine.h"

namespace gnomon {

/// The log-probability of `token` under softmax(logits), and the `top` likeliest tokens.
TokenLogprobs token_logprobs(std::span<const float> logits, uint32_t token, int64_t top);

}  // namespace gnomon
