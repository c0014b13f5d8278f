// A sliding window of pages: a sequence reads the pages that hold the last `window_tokens` tokens
// before the first row of its step, and its own. With window 0 it is dense attention. The
// arithmetic is the backend's attend; a method at this depth says what is read.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/abi/contract.h"
#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;

class Window {
 public:
  Window(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : window_(static_cast<std::int32_t>(params.get_int("window_tokens"))) {}

  // Layers whose own windows are equal share a cache spec, and with it a pool of pages. The method
  // keeps what the model's layer may read, whatever it reads itself.
  Status plan_layers(const tenon_attention_geometry* geometry, tenon_layer_plan* layers,
                     tenon_cache_spec* specs, std::uint32_t* n_specs) {
    constexpr std::uint32_t kMostSpecs = 8;  // the room that the host gives
    *n_specs = 0;
    windows_.clear();
    for (std::int32_t i = 0; i < geometry->layers; ++i) {
      const std::int32_t window = geometry->of_layer[i].window;
      std::uint32_t at = 0;
      while (at < *n_specs && specs[at].window != window) ++at;
      if (at == *n_specs) {
        if (at == kMostSpecs)
          return tenon::sdk::unimplemented("more than " + std::to_string(kMostSpecs) +
                                           " lengths of window");
        specs[(*n_specs)++] = {{sizeof(tenon_cache_spec), 0, nullptr},
                               0,
                               geometry->kv_heads,
                               geometry->head_dim,
                               window};
      }
      layers[i] = {static_cast<std::int32_t>(at), specs[at].layers++};
      windows_.push_back(shorter(window_, window));
    }
    read_.resize(windows_.size());
    return {};
  }

  Status select(const tenon_attention_batch* batch, std::int32_t layer, tenon_read_set* out) {
    const auto at = static_cast<std::size_t>(layer);
    std::vector<tenon_read_pages>& read = read_[at];
    read.resize(static_cast<std::size_t>(batch->n_sequences));
    for (std::size_t i = 0; i < read.size(); ++i) {
      const tenon_sequence_rows& rows = batch->sequences[i];
      const std::int32_t oldest =
          windows_[at] > 0 ? std::max(0, rows.position - windows_[at] + 1) : 0;
      const std::int32_t first = std::max(rows.first_page, oldest / TENON_PAGE_TOKENS);
      read[i] = {rows.pages + first, nullptr, rows.n_pages - first, first};
    }
    *out = {{sizeof *out, 0, nullptr}, read.data(), batch->n_sequences, 0};
    return {};
  }

 private:
  // The shorter of two windows, where 0 is none.
  static std::int32_t shorter(std::int32_t a, std::int32_t b) {
    return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
  }

  std::int32_t window_;
  std::vector<std::int32_t> windows_;                // by layer: what it reads
  std::vector<std::vector<tenon_read_pages>> read_;  // by layer: valid until the step has ended
};

}  // namespace

TENON_PLUGIN(Window, TENON_ATTENTION_ID, AttentionTable);
