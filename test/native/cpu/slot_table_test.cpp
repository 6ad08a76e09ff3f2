#include "cpu/slot_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace gnomon::cpu {
namespace {

struct Table {
  std::vector<int32_t> storage;
  SlotTable slots;
  Table(int64_t num_slots, int64_t num_candidates)
      : storage(SlotTable::storage_size(num_slots, num_candidates), 77),
        slots(storage.data(), num_slots, num_candidates) {}
};

TEST_CASE("an empty table holds nothing and then what was assigned") {
  Table table(2, 5);
  for (int32_t candidate = 0; candidate < 5; ++candidate) CHECK(table.slots.touch(candidate) == -1);
  const int32_t slot = table.slots.assign(3);
  CHECK(table.slots.touch(3) == slot);
  CHECK(table.slots.touch(2) == -1);
}

TEST_CASE("the least recently used slot is overwritten") {
  Table table(3, 9);
  const int32_t first = table.slots.assign(0);
  const int32_t second = table.slots.assign(1);
  table.slots.assign(2);
  table.slots.touch(0);
  CHECK(table.slots.assign(5) == second);
  CHECK(table.slots.touch(1) == -1);
  CHECK(table.slots.touch(0) == first);
}

TEST_CASE("a table of one slot keeps the last candidate") {
  Table table(1, 4);
  for (const int32_t candidate : {2, 0, 3, 3, 1}) {
    if (table.slots.touch(candidate) < 0) CHECK(table.slots.assign(candidate) == 0);
    for (int32_t other = 0; other < 4; ++other) {
      CHECK((table.slots.touch(other) >= 0) == (other == candidate));
    }
  }
}

TEST_CASE("random steps keep a step's slots apart and agree with a plain LRU list") {
  constexpr int32_t kCandidates = 40;
  std::mt19937 random(5);
  for (const int64_t num_slots : {6, 7, 12, 40}) {
    Table table(num_slots, kCandidates);
    std::list<int32_t> recent;  // newest first
    for (int step = 0; step < 200; ++step) {
      std::vector<int32_t> all(kCandidates);
      for (int32_t i = 0; i < kCandidates; ++i) all[i] = i;
      std::shuffle(all.begin(), all.end(), random);
      const std::vector<int32_t> selected(all.begin(), all.begin() + 6);
      std::map<int32_t, int32_t> slot_of;
      for (const int32_t candidate : selected) {
        const bool held = std::find(recent.begin(), recent.end(), candidate) != recent.end();
        const int32_t slot = table.slots.touch(candidate);
        REQUIRE((slot >= 0) == held);
        if (!held) continue;
        slot_of[candidate] = slot;
        recent.remove(candidate);
        recent.push_front(candidate);
      }
      for (const int32_t candidate : selected) {
        if (slot_of.contains(candidate)) continue;
        slot_of[candidate] = table.slots.assign(candidate);
        recent.push_front(candidate);
        if (static_cast<int64_t>(recent.size()) > num_slots) recent.pop_back();
      }
      std::set<int32_t> distinct;
      for (const auto& [candidate, slot] : slot_of) {
        REQUIRE(slot >= 0);
        REQUIRE(slot < num_slots);
        distinct.insert(slot);
      }
      REQUIRE(distinct.size() == selected.size());
    }
  }
}

}  // namespace
}  // namespace gnomon::cpu
