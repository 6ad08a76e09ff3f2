#include "cpu/slot_table.h"

#include <algorithm>

namespace gnomon::cpu {

int64_t SlotTable::storage_size(int64_t num_slots, int64_t num_candidates) {
  return num_candidates + num_slots + 2 * (num_slots + 1);
}

SlotTable::SlotTable(int32_t* storage, int64_t num_slots, int64_t num_candidates)
    : num_slots_(static_cast<int32_t>(num_slots)),
      slot_of_(storage),
      candidate_of_(slot_of_ + num_candidates),
      older_(candidate_of_ + num_slots),
      newer_(older_ + num_slots + 1) {
  std::fill_n(slot_of_, num_candidates, -1);
  std::fill_n(candidate_of_, num_slots, -1);
  for (int32_t slot = 0; slot <= num_slots_; ++slot) {
    newer_[slot] = slot < num_slots_ ? slot + 1 : 0;
    older_[slot] = slot > 0 ? slot - 1 : num_slots_;
  }
}

int32_t SlotTable::touch(int32_t candidate) {
  const int32_t slot = slot_of_[candidate];
  if (slot >= 0) {
    unlink(slot);
    link_newest(slot);
  }
  return slot;
}

int32_t SlotTable::assign(int32_t candidate) {
  const int32_t slot = newer_[num_slots_];  // the oldest follows the end of the ring
  if (candidate_of_[slot] >= 0) slot_of_[candidate_of_[slot]] = -1;
  candidate_of_[slot] = candidate;
  slot_of_[candidate] = slot;
  unlink(slot);
  link_newest(slot);
  return slot;
}

void SlotTable::unlink(int32_t slot) {
  older_[newer_[slot]] = older_[slot];
  newer_[older_[slot]] = newer_[slot];
}

void SlotTable::link_newest(int32_t slot) {
  const int32_t newest = older_[num_slots_];
  newer_[newest] = slot;
  older_[slot] = newest;
  newer_[slot] = num_slots_;
  older_[num_slots_] = slot;
}

}  // namespace gnomon::cpu
