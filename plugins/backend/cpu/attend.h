// Attention over pages on the engine's threads.
//
// A page of a spec is [layer][K, V][kv head]: K as f16 [dim, 64], so that scores run with lanes
// over keys, V as f16 [64, dim].
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "attend_cut.h"
#include "kernels.h"
#include "tenon/sdk/rope.hpp"

namespace tenon::cpu {

struct KvPool {
  tenon_cache_spec spec{};
  std::uint32_t n_pages = 0;
  AlignedBytes bytes;

  std::size_t head_values() const {
    return static_cast<std::size_t>(TENON_PAGE_TOKENS) * static_cast<std::size_t>(spec.head_dim);
  }
  std::size_t page_values() const {
    return 2 * head_values() * static_cast<std::size_t>(spec.kv_heads) *
           static_cast<std::size_t>(spec.layers);
  }
  std::size_t page_bytes() const { return 2 * page_values(); }
  // part 0: K, 1: V.
  std::uint16_t* head(std::uint32_t page, std::int32_t layer, int part, int kv_head) const {
    const std::size_t index =
        (static_cast<std::size_t>(layer) * 2 + static_cast<std::size_t>(part)) *
            static_cast<std::size_t>(spec.kv_heads) +
        static_cast<std::size_t>(kv_head);
    return reinterpret_cast<std::uint16_t*>(bytes.get()) + page * page_values() +
           index * head_values();
  }
};

struct AttendSetup {
  struct Layer {
    std::int32_t spec = 0, window = 0;
    const float *q_norm = nullptr, *k_norm = nullptr;  // [head_dim]
    const float* rope = nullptr;                       // [context, rope_dims / 2, 2]
  };
  tenon_attention_geometry geometry{};
  std::vector<Layer> layers;
  std::map<double, sdk::RopeTable<float>> rope;  // by base
  std::vector<KvPool> pools;
};

// What the stripes of calls write beside the output.
struct AttendRoom {
  // A worker's tile: queries [rows, heads of a key-value head, dim], as many totals, their states.
  std::int64_t tile_floats = 0;
  AlignedBytes tiles;
  // Chunk states of tiles that stripes share.
  std::int64_t partial_floats = 0;
  AlignedBytes partials;
  // Pages that are done of each shared tile; 0 between calls.
  std::unique_ptr<std::atomic<std::int32_t>[]> done;
};

// Room for the geometry; once, before the first call.
AttendRoom attend_room(const tenon_attention_geometry& geometry,
                       const sdk::ThreadsService& threads);

// Floats of partials that a call wants.
std::int64_t partial_floats(const AttendSetup& setup, const AttendCut& cut);

AttendCut cut_attend(const AttendSetup& setup, const tenon_op_attend& op,
                     const sdk::ThreadsService& threads);

// Submits the commands. q, k, v: rows of the batch; out as q.
void submit_attend(const sdk::ThreadsService& threads, const Kernels& kernels,
                   const AttendSetup& setup, const tenon_op_attend& op, const AttendCut& cut,
                   const AttendRoom& room, const float* q, const float* k, const float* v,
                   float* out);

}  // namespace tenon::cpu
