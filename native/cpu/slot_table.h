#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// Which slot holds the reconstructed keys of which candidate chunk, for one KV head. The least
/// recently used slot is overwritten first. Lives in memory that the caller owns.
class SlotTable {
 public:
  /// Integers of storage it needs.
  static int64_t storage_size(int64_t num_slots, int64_t num_candidates);

  SlotTable() = default;
  /// All slots start empty.
  SlotTable(int32_t* storage, int64_t num_slots, int64_t num_candidates);

  /// The slot of a candidate, now the most recently used; -1 if it has none.
  int32_t touch(int32_t candidate);
  /// Gives the least recently used slot to a candidate that has none. Touch all of a step's
  /// candidates before the first `assign`: then no slot of this step is taken from them.
  int32_t assign(int32_t candidate);

 private:
  void unlink(int32_t slot);
  void link_newest(int32_t slot);

  int32_t num_slots_ = 0;
  int32_t* slot_of_ = nullptr;       // (num_candidates), -1: none
  int32_t* candidate_of_ = nullptr;  // (num_slots), -1: empty
  // A ring ordered by use; entry num_slots_ closes it.
  int32_t* older_ = nullptr;  // (num_slots + 1)
  int32_t* newer_ = nullptr;  // (num_slots + 1)
};

}  // namespace gnomon::cpu
