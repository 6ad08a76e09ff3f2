#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/memory_ledger.h"
#include "engine/model.h"
#include "engine/prefill.h"
#include "engine/sequence.h"
#include "engine/token_picker.h"

namespace gnomon {

/// Continuous batching on one thread: requests wait in order until the ledger has room, are
/// prefilled in small steps, then decode together; each leaves at its own end. Those that begin
/// with the same long text are prefilled as one. Admitted work is never thrown away to make room.
class Scheduler {
 public:
  Scheduler(Model& model, const CacheOptions& cache, int64_t max_batch);

  /// Queues a request. One that can never run ends through its on_error at once.
  void add(std::unique_ptr<Sequence> sequence);
  void cancel(uint64_t id);
  /// Ends a decoding sequence as a stop token would; ignores any other.
  void finish_early(uint64_t id);
  /// Ends every sequence with `error`.
  void fail_all(const EngineError& error);

  /// Does one prefill step or one decode step. False if there is nothing to do.
  /// Throws device_failed, after which the scheduler is of no use.
  bool step();

  Plan plan(int64_t prompt_tokens, int64_t max_new_tokens, CacheBytes in_use, int64_t active) const;
  EngineStats stats() const;

 private:
  /// The geometry of a request, with the place of its values chosen as memory stands.
  CacheGeometry place(int64_t prompt_tokens, int64_t max_new_tokens, CacheBytes in_use) const;
  void place(Sequence& sequence, CacheBytes in_use) const;
  int64_t free_seats() const;
  bool admit();
  /// Adds to prefilling_ what of waiting_ is worth prefilling with it and fits; false if nothing.
  bool gather();
  /// Starts the prefill of prefilling_. False if it could not; they wait again or have their error.
  bool begin_prefill();
  bool put_back(const EngineError& error);
  void join_newcomers();
  void end_prefill();
  void begin_decoding();
  void prefill_step();
  void decode_step();
  bool decode_is_due() const;
  /// Adds a token to the sequence; true if that ended it.
  bool take_token(Sequence& sequence, NextToken next);
  void report_progress(const Sequence& sequence) const;
  void finish(Sequence& sequence, const char* reason);
  void release(const Sequence& sequence);
  bool is_stop_token(const Sequence& sequence, uint32_t token) const;

  Model& model_;
  TokenPicker picker_;
  CacheOptions cache_options_;
  int64_t max_batch_;
  MemoryLedger ledger_;
  bool out_of_pieces_ = false;  // memory that the ledger counts as free lies in too small pieces
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> prefilling_;  // together, in the order they came
  std::unique_ptr<Prefill> prefill_;                   // of prefilling_
  CacheBytes prefill_workspace_;
  double thrown_away_ = 0;    // of prefill_, done again because others joined
  bool newcomers_ = false;    // since the last look at who may join prefill_
  bool admit_alone_ = false;  // a group did not start: its first tries without the others
  std::vector<std::unique_ptr<Sequence>> decoding_;

  Clock::time_point decode_ended_;
  Clock::duration decode_took_{};
  EngineStats totals_;
  CacheStats selected_;  // of finished sequences
};

}  // namespace gnomon
