#include "bench/measurement.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "engine/error.h"
#include "engine/memory_ledger.h"
#include "engine/prefill.h"
#include "engine/token_picker.h"
#include "engine/value_placement.h"

namespace gnomon {

namespace {

using nlohmann::json;

// A hit rate is found by a guess, else by bisection over short runs, then by timed ones, for it
// drifts.
constexpr double kFirstInertia = 0.9;
constexpr int64_t kSteerings = 6, kSteeringSteps = 12, kForgetSteps = 4;
constexpr int64_t kTimedRuns = 6;
constexpr double kHitTolerance = 0.015;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// A window of the text, different for each sequence, wrapping around at its end.
std::vector<uint32_t> window(const std::vector<uint32_t>& text, int64_t sequence, int64_t count) {
  std::vector<uint32_t> tokens(count);
  const int64_t start = sequence * 1237;
  for (int64_t i = 0; i < count; ++i) tokens[i] = text[(start + i) % text.size()];
  return tokens;
}

class Bench {
 public:
  Bench(Model& model, const std::vector<uint32_t>& text, const Measurement& m)
      : model_(model),
        picker_(model),
        backend_(model.backend()),
        text_(text),
        m_(m),
        warm_up_(std::max<int64_t>(4, m.steps / 8)) {}

  void run(json& rows) {
    const std::vector<CacheGeometry> geometries = admit();
    prefill(geometries);
    positions_.assign(caches_.size(), static_cast<int32_t>(m_.prompt_tokens));
    for (const int64_t batch : m_.batches) {
      const int64_t n =
          batch == Measurement::kLargest ? static_cast<int64_t>(caches_.size()) : batch;
      if (m_.hit_rates.empty() || geometries[0].dense) rows.push_back(time_decode(n));
      if (geometries[0].dense) continue;
      for (const double hit_rate : m_.hit_rates) {
        rows.push_back(time_steered(n, hit_rate));
      }
    }
    if (!m_.hit_rates.empty()) backend_.steer_queries(0);
  }

 private:
  int64_t max_new_tokens() const {
    const int64_t runs = std::max<int64_t>(1, static_cast<int64_t>(m_.hit_rates.size()));
    const int64_t timed = warm_up_ + m_.steps;
    const int64_t steps =
        m_.hit_rates.empty() ? timed : (1 + kSteerings) * kSteeringSteps + (1 + kTimedRuns) * timed;
    return static_cast<int64_t>(m_.batches.size()) * runs * steps + 1;
  }

  /// The geometry of every sequence of the largest batch, placed and admitted as the engine would.
  std::vector<CacheGeometry> admit() const {
    const bool fill = std::ranges::find(m_.batches, Measurement::kLargest) != m_.batches.end();
    const int64_t asked = std::ranges::max(m_.batches);
    const CacheGeometry geometry = resolve_geometry(m_.cache, m_.prompt_tokens, max_new_tokens());
    const int64_t workspace = Prefill::workspace_bytes(model_.config(), backend_, m_.prompt_tokens);
    MemoryLedger ledger(backend_.capacity(), backend_.unified_memory());
    std::vector<CacheGeometry> admitted;
    while (fill || static_cast<int64_t>(admitted.size()) < asked) {
      CacheGeometry next = geometry;
      const auto need = [&](bool on_host) {
        next.values_on_host = on_host;
        CacheBytes bytes = backend_.cache_bytes(next);
        bytes.device += workspace;
        return bytes;
      };
      if (m_.cache.values == ValuePlacement::automatic && !geometry.dense) {
        next.values_on_host =
            prefers_host(need(false), need(true), ledger.used(), ledger.capacity());
      }
      const std::string refusal = ledger.refusal(need(next.values_on_host), ledger.used());
      if (!refusal.empty()) {
        if (fill && static_cast<int64_t>(admitted.size()) >= std::max<int64_t>(asked, 1)) break;
        throw EngineError("out_of_memory", "sequence " + std::to_string(admitted.size() + 1) +
                                               " of the batch " + refusal);
      }
      ledger.add(backend_.cache_bytes(next));
      admitted.push_back(next);
    }
    return admitted;
  }

  void prefill(const std::vector<CacheGeometry>& geometries) {
    const int64_t n = static_cast<int64_t>(geometries.size());
    const int64_t real = m_.prefills > 0 ? std::min(m_.prefills, n) : n;
    for (int64_t i = 0; i < n; ++i) {
      std::fprintf(stderr, "\r%s %ld tokens: %s %ld/%ld ", m_.cache_name.c_str(), m_.prompt_tokens,
                   i < real ? "prefill" : "copy", i + 1, n);
      caches_.push_back(backend_.make_cache(geometries[i]));
      sequences_.push_back(std::make_unique<Sequence>());
      sequences_.back()->request.sampling = m_.sampling;
      sequences_.back()->request.sampling.seed = i;
      device_bytes_ += backend_.cache_bytes(geometries[i]).device;
      host_bytes_ += backend_.cache_bytes(geometries[i]).host;
      if (i >= real) {
        backend_.copy_cache(*caches_[i % real], *caches_[i]);
        next_.push_back(next_[i % real]);
        continue;
      }
      const std::vector<uint32_t> tokens = window(text_, i, m_.prompt_tokens);
      prefill_seconds_.push_back(seconds_of([&] {
        Prefill prefill(model_, tokens, *caches_.back());
        while (!prefill.step()) {
        }
        next_.push_back(model_.greedy_tokens().front());
      }));
    }
    std::fprintf(stderr, "\r\033[K");
  }

  void decode(int64_t batch) {
    std::vector<SequenceCache*> group;
    for (int64_t i = 0; i < batch; ++i) group.push_back(caches_[i].get());
    const size_t n = static_cast<size_t>(batch);
    model_.decode({{next_.data(), n}, {positions_.data(), n}, group});
    const std::vector<NextToken> picked = picker_.pick({sequences_.data(), n});
    for (size_t i = 0; i < n; ++i) {
      next_[i] = picked[i].token;
      sequences_[i]->generated.push_back(next_[i]);
      ++positions_[i];
    }
  }

  CacheStats stats(int64_t batch) const {
    CacheStats sum;
    for (int64_t i = 0; i < batch; ++i) {
      const CacheStats one = caches_[i]->stats();
      sum.selected_chunks += one.selected_chunks;
      sum.hit_chunks += one.hit_chunks;
    }
    return sum;
  }
  static double rate(CacheStats before, CacheStats after) {
    const int64_t selected = after.selected_chunks - before.selected_chunks;
    return selected == 0 ? 0.0
                         : static_cast<double>(after.hit_chunks - before.hit_chunks) / selected;
  }

  /// Finds the inertia of the queries that gives the hit rate.
  json time_steered(int64_t batch, double hit_rate) {
    double low = 0, high = 1, inertia = kFirstInertia;  // hits grow with inertia
    json closest;
    double distance = 2;
    const auto time = [&] {
      json row = time_decode(batch);
      row["steered_to_hit_rate"] = hit_rate;
      row["query_inertia"] = inertia;
      const double got = row["hit_rate"];
      if (std::abs(got - hit_rate) < distance) {
        distance = std::abs(got - hit_rate);
        closest = std::move(row);
      }
      return got;
    };
    const auto narrow = [&](double got) {
      (got < hit_rate ? low : high) = inertia;
      inertia = (low + high) / 2;
      backend_.steer_queries(inertia);
    };
    backend_.steer_queries(inertia);
    for (int64_t step = 0; step < kSteeringSteps; ++step) decode(batch);
    const double guessed = time();
    if (distance <= kHitTolerance) return closest;
    narrow(guessed);
    for (int64_t i = 0; i < kSteerings; ++i) {
      for (int64_t step = 0; step < kForgetSteps; ++step) decode(batch);
      const CacheStats before = stats(batch);
      for (int64_t step = kForgetSteps; step < kSteeringSteps; ++step) decode(batch);
      narrow(rate(before, stats(batch)));
    }
    // The short runs were too short to trust their last steps.
    low = std::max(0.0, inertia - 0.1);
    high = std::min(1.0, inertia + 0.1);
    for (int64_t i = 0; i < kTimedRuns && distance > kHitTolerance; ++i) narrow(time());
    return closest;
  }

  json time_decode(int64_t batch) {
    std::vector<double> step_seconds;
    for (int64_t step = 0; step < warm_up_; ++step) decode(batch);
    const CacheStats before = stats(batch);
    for (int64_t step = 0; step < m_.steps; ++step) {
      step_seconds.push_back(seconds_of([&] { decode(batch); }));
    }
    const double hit_rate = rate(before, stats(batch)), step = median(step_seconds);
    const double prefill_seconds = median(prefill_seconds_);
    const int64_t n = static_cast<int64_t>(caches_.size());
    std::fprintf(stderr, "%8ld  %-8s  batch %2ld  prefill %6.2f s  decode %7.1f tok/s  hits %.2f\n",
                 m_.prompt_tokens, m_.cache_name.c_str(), batch, prefill_seconds, batch / step,
                 hit_rate);
    return {{"prompt_tokens", m_.prompt_tokens},
            {"cache", m_.cache_name},
            {"sparse_budget", m_.cache.sparse_budget},
            {"batch", batch},
            {"prefill_seconds", prefill_seconds},
            {"prefill_tokens_per_second", m_.prompt_tokens / prefill_seconds},
            {"decode_step_ms", step * 1e3},
            {"decode_tokens_per_second", batch / step},
            {"hit_rate", hit_rate},
            {"cache_device_bytes", device_bytes_ / n},
            {"cache_host_bytes", host_bytes_ / n}};
  }

  Model& model_;
  TokenPicker picker_;
  Backend& backend_;
  const std::vector<uint32_t>& text_;
  const Measurement& m_;
  const int64_t warm_up_;
  std::vector<std::unique_ptr<SequenceCache>> caches_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // what the picker asks of each
  std::vector<uint32_t> next_;
  std::vector<int32_t> positions_;
  std::vector<double> prefill_seconds_;
  int64_t device_bytes_ = 0, host_bytes_ = 0;
};

}  // namespace

void measure(Model& model, const std::vector<uint32_t>& text, const Measurement& measurement,
             json& rows) {
  Bench(model, text, measurement).run(rows);
}

}  // namespace gnomon
