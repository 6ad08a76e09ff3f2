#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// logits (group, stride) = query . landmark for the landmark blocks [first, last).
/// query (group, query_stride), already divided by sqrt(head_dim); landmarks (_, head_dim, 16).
struct LandmarkLogits {
  const float* query;
  int64_t group;
  int64_t query_stride;
  const float* landmarks;
  int64_t head_dim;
  float* logits;
  int64_t stride;  // num_candidates rounded up to 16
};

void landmark_logits(const LandmarkLogits& task, int64_t first_block, int64_t last_block);

/// scores (stride) = the logarithm of the paper's score, max over the query group of softmax over
/// candidates: max over heads of (logit - logsumexp of the head). The logarithm ranks alike, costs
/// one exponential less and does not underflow. Places beyond num_candidates get -infinity.
/// May overwrite the logits; scores may be their first row.
void rank_scores(float* logits, int64_t group, int64_t num_candidates, int64_t stride,
                 float* scores);

}  // namespace gnomon::cpu
