#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"
#include "engine/sequence.h"
#include "engine/thread_pool.h"

namespace gnomon {

struct NextToken {
  uint32_t token;
  TokenLogprobs logprobs;  // if the sequence asks for them
};

/// Picks the token that follows each row of the model's last step. Where all rows are greedy the
/// backend does it; otherwise the logits come to the host, and some threads share the rows.
class TokenPicker {
 public:
  explicit TokenPicker(Model& model);

  /// `rows` are the sequences of that step, in its order.
  std::vector<NextToken> pick(std::span<const std::unique_ptr<Sequence>> rows);

 private:
  Model& model_;
  ThreadPool pool_;
};

}  // namespace gnomon
