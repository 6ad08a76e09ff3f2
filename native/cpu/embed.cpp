#include "cpu/embed.h"

#include <algorithm>

namespace gnomon::cpu {

void embed(std::span<const uint32_t> tokens, const TableWeight& table, Matrix out) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::copy_n(table.values.floats() + tokens[i] * table.cols, table.cols, row(out, i));
  }
}

}  // namespace gnomon::cpu
