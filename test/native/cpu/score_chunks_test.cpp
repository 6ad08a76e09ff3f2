#include "cpu/score_chunks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "cpu/landmarks.h"
#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

TEST_CASE("scores are the logarithm of the largest softmax of the query group") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const int64_t head_dim : {2, 20, 64, 80, 96, 128}) {
    for (const int64_t group : {1, 2, 3, 4, 7, 8}) {
      for (const int64_t candidates : {1, 15, 16, 17, 130}) {
        CAPTURE(head_dim);
        CAPTURE(group);
        CAPTURE(candidates);
        const int64_t blocks = (candidates + 15) / 16, stride = blocks * 16;
        std::vector<float> query(group * head_dim), landmark(candidates * head_dim);
        for (float& x : query) x = normal(random);
        for (float& x : landmark) x = normal(random);
        std::vector<float> stored(stride * head_dim, 0.0f);
        for (int64_t i = 0; i < candidates; ++i) {
          store_landmark(landmark.data() + i * head_dim, head_dim, i, stored.data());
        }

        std::vector<double> expected(candidates, -1e300);
        for (int64_t h = 0; h < group; ++h) {
          std::vector<double> logits(candidates, 0.0);
          double total = 0;
          for (int64_t i = 0; i < candidates; ++i) {
            for (int64_t j = 0; j < head_dim; ++j) {
              logits[i] +=
                  static_cast<double>(query[h * head_dim + j]) * landmark[i * head_dim + j];
            }
            total += std::exp(logits[i]);
          }
          for (int64_t i = 0; i < candidates; ++i) {
            // A group of one is ranked by its logits: the constant would not change the order.
            const double constant = group == 1 ? 0 : std::log(total);
            expected[i] = std::max(expected[i], logits[i] - constant);
          }
        }

        test::on_every_target([&] {
          std::vector<float> logits(group * stride, 5.0f), scores(stride);
          const LandmarkLogits task{query.data(), group,         head_dim, stored.data(),
                                    head_dim,     logits.data(), stride};
          landmark_logits(task, 0, blocks / 2);
          landmark_logits(task, blocks / 2, blocks);
          rank_scores(logits.data(), group, candidates, stride, scores.data());
          for (int64_t i = 0; i < candidates; ++i) {
            CHECK(scores[i] == doctest::Approx(expected[i]).epsilon(1e-4));
          }
          for (int64_t i = candidates; i < stride; ++i) CHECK(std::isinf(scores[i]));
        });
      }
    }
  }
}

}  // namespace
}  // namespace gnomon::cpu
