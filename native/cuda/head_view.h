#pragma once
// What the decode kernels know of one KV head of one layer of one sequence. A table of these in
// device memory, (num_layers, batch, num_kv_heads), is uploaded whenever the batch changes.

#include <cstdint>

#include "cuda/element.h"

namespace gnomon::cuda {

struct HeadView {
  // Always attended: local window, outlier chunks, then generated tokens; for a dense sequence
  // prompt and generated tokens. Rows are head_dim wide.
  Element* exact_keys;     // (exact_tokens + max_new_tokens, head_dim)
  Element* exact_values;   // (exact_tokens + max_new_tokens, head_dim)
  int32_t exact_tokens;    // before generated ones
  int32_t first_position;  // of the first prompt token

  // ShadowKV; num_chunks is 0 for a dense sequence.
  int32_t num_chunks;
  int32_t num_selected;
  int32_t num_slots;
  const uint8_t* landmarks;     // (num_chunks, head_dim), see landmarks.h
  const float* landmark_steps;  // (head_dim)
  const uint32_t* outliers;     // bit c: chunk c is an outlier (ceil(num_chunks / 32))
  const Element* factor;        // (context_tokens, rank), shared by the layer's KV heads
  const Element* basis;         // (rank, head_dim)
  const Element* values;        // (num_chunks, chunk_size, head_dim), device or pinned host
  Element* slot_keys;           // (num_slots, chunk_size, head_dim)
  Element* slot_values;         // (num_slots, chunk_size, head_dim), or null: `values` are
                                // in device memory and read in place
  int32_t* chunk_slot;          // (num_chunks) slot that holds the chunk, or -1
  int32_t* slot_chunk;          // (num_slots) chunk the slot holds, or -1
  int32_t* slot_used;           // (num_slots) step of the last use
  unsigned long long* hits;     // chunks selected that a slot already held
};

/// What selection leaves for the kernels after it; per (sequence, KV head).
struct Selection {
  int32_t* slots;        // (batch, num_kv_heads, max_selected): slots to attend to
  int32_t* miss_chunks;  // (batch, num_kv_heads, max_selected)
  int32_t* miss_slots;   // (batch, num_kv_heads, max_selected)
  int32_t* miss_counts;  // (batch, num_kv_heads)
};

struct DecodeShape {
  int32_t batch;
  int32_t num_heads;
  int32_t num_kv_heads;
  int32_t head_dim;
  int32_t chunk_size;
  int32_t rank;
  int32_t max_chunks;    // no sequence of the batch has more; a multiple of 32
  int32_t max_selected;  // likewise
  int32_t max_tokens;    // no sequence attends to more
  int32_t group() const { return num_heads / num_kv_heads; }
};

}  // namespace gnomon::cuda
