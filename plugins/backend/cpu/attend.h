// Attention over pages on the engine's threads.
//
// A page of a spec is [layer][K, V][kv head]: K as f16 [dim, 64], so that scores run with lanes
// over keys, V as f16 [64, dim].
#pragma once

#include <map>
#include <vector>

#include "kernels.h"

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
  std::map<double, std::vector<float>> rope;  // by base
  std::vector<KvPool> pools;
};

// Room for chunk states of few rows over many pages: [row, q head, page] x (most, sum, dim values).
class PartialScratch {
 public:
  bool fits(std::int64_t floats) const { return floats <= floats_; }
  void grow(std::int64_t floats);
  float* data() const { return reinterpret_cast<float*>(memory_.get()); }

 private:
  std::int64_t floats_ = 0;
  AlignedBytes memory_;
};

// Floats of partial room that this batch wants; 0: it is attended row by row.
std::int64_t partial_floats(const AttendSetup& setup, const tenon_op_attend& op,
                            std::uint32_t threads);

// Submits the commands. q, k, v: rows of the batch; out as q.
void submit_attend(const sdk::ThreadsService& threads, const Kernels& kernels,
                   const AttendSetup& setup, const tenon_op_attend& op, float* partials,
                   const float* q, const float* k, const float* v, float* out);

}  // namespace tenon::cpu
