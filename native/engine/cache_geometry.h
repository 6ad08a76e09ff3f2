#pragma once
#include <cstdint>

namespace gnomon {

enum class CacheKind { full, shadowkv };

/// Where the values of ShadowKV's chunks live. `automatic`: in device memory as long as that leaves
/// enough of it for the sequences whose values the host can still take, then on the host.
enum class ValuePlacement { automatic, device, host };

/// The knobs of a KV cache (ShadowKV paper, sections 4 and 5; names as in design, section 5).
struct CacheOptions {
  CacheKind kind = CacheKind::shadowkv;
  int64_t rank = 160;            // columns kept of the pre-RoPE keys of all KV heads together
  int64_t chunk_size = 8;        // tokens a landmark stands for
  int64_t sparse_budget = 2048;  // tokens selected per KV head and step
  int64_t outlier_chunks = 48;   // chunks per KV head kept exact and always attended
  int64_t local_window = 32;     // last prompt tokens always attended, at least
  int64_t slots = 0;             // reconstructed key chunks kept per KV head; 0: twice the selected
  ValuePlacement values = ValuePlacement::automatic;
};

/// What the options mean for one sequence: every count that sizes a buffer.
///
/// Prompt tokens are laid out [context: num_chunks * chunk_size][local: local_tokens]; generated
/// tokens follow. Context tokens are reached through landmarks; outlier chunks, the local window
/// and generated tokens are exact and always attended.
struct CacheGeometry {
  bool dense = true;  // every key and value is kept exact and attended
  int64_t prompt_tokens = 0;
  int64_t max_new_tokens = 0;  // generated tokens the cache has room for
  int64_t first_position = 0;  // of the first prompt token (config.h)
  int64_t rank = 0;
  int64_t chunk_size = 0;
  int64_t num_chunks = 0;  // outlier chunks among them
  int64_t num_outlier_chunks = 0;
  int64_t num_selected_chunks = 0;  // <= num_chunks - num_outlier_chunks
  int64_t num_slots = 0;            // >= num_selected_chunks
  bool values_on_host = false;      // a device without memory of its own has them there anyway

  int64_t context_tokens() const { return num_chunks * chunk_size; }
  int64_t local_tokens() const { return prompt_tokens - context_tokens(); }
};

/// The rank where none is given, for keys of `key_width` columns: 5/32 of them, which is the
/// paper's 160 of 1024, but from 160 to 256 (narrower keys compress less; more than 256 the CUDA
/// backend does not take), and never above 3/4 of them. A multiple of 8 from 8 on.
int64_t default_rank(int64_t key_width);

/// Throws EngineError invalid_options, naming the knob, unless every knob is usable with keys of
/// `key_width` = num_kv_heads * head_dim columns.
void check_cache_options(const CacheOptions& options, int64_t key_width);

/// A prompt no longer than the sparse budget runs dense.
CacheGeometry resolve_geometry(const CacheOptions& options, int64_t prompt_tokens,
                               int64_t max_new_tokens);

}  // namespace gnomon
