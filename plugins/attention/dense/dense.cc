// Dense causal attention: every layer keeps one K and one V per token and key-value head, and every
// row reads all pages up to its own, on a layer with a window those that the window touches. It is
// the baseline and the oracle of the other attention methods; the arithmetic is the backend's
// attend.
#include <algorithm>
#include <string>
#include <vector>

#include "tenon/abi/contract.h"
#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;

class Dense {
 public:
  Dense(const tenon::sdk::Host&, const tenon::sdk::Params&) {}

  // One spec for each length of window: its layers forget together.
  Status plan_layers(const tenon_attention_geometry* geometry, tenon_layer_plan* layers,
                     tenon_cache_spec* specs, std::uint32_t* n_specs) {
    windows_.clear();
    specs_.clear();
    for (std::int32_t i = 0; i < geometry->layers; ++i) {
      const std::int32_t window = geometry->of_layer[i].window;
      auto at = std::find_if(specs_.begin(), specs_.end(), [window](const tenon_cache_spec& spec) {
        return spec.window == window;
      });
      if (at == specs_.end()) {
        if (specs_.size() == kMostSpecs)
          return tenon::sdk::unimplemented("more than " + std::to_string(kMostSpecs) +
                                           " lengths of window");
        const tenon_cache_spec spec{{sizeof(tenon_cache_spec), 0, nullptr},
                                    0,
                                    geometry->kv_heads,
                                    geometry->head_dim,
                                    window};
        at = specs_.insert(specs_.end(), spec);
      }
      layers[i] = {static_cast<std::int32_t>(at - specs_.begin()), at->layers++};
      windows_.push_back(window);
    }
    std::copy(specs_.begin(), specs_.end(), specs);
    *n_specs = static_cast<std::uint32_t>(specs_.size());
    spec_of_layer_.clear();
    for (std::int32_t i = 0; i < geometry->layers; ++i) spec_of_layer_.push_back(layers[i].spec);
    pages_.resize(specs_.size());
    made_for_.assign(specs_.size(), -1);
    return {};
  }

  // The answer is the same on all layers of a spec: made on the first of a step, kept for the
  // others.
  Status select(const tenon_attention_batch* batch, std::int32_t layer, tenon_read_set* out) {
    const auto spec = static_cast<std::size_t>(spec_of_layer_[static_cast<std::size_t>(layer)]);
    std::vector<tenon_read_pages>& pages = pages_[spec];
    if (layer <= made_for_[spec] || made_for_[spec] < 0 ||
        pages.size() != static_cast<std::size_t>(batch->n_sequences)) {
      pages.resize(static_cast<std::size_t>(batch->n_sequences));
      for (std::int32_t i = 0; i < batch->n_sequences; ++i)
        pages[static_cast<std::size_t>(i)] =
            pages_of(batch->sequences[i], windows_[static_cast<std::size_t>(layer)]);
    }
    made_for_[spec] = layer;
    *out = {{sizeof *out, 0, nullptr}, pages.data(), batch->n_sequences, 0};
    return {};
  }

 private:
  static constexpr std::size_t kMostSpecs = 8;  // room that plan_layers is given

  static tenon_read_pages pages_of(const tenon_sequence_rows& rows, std::int32_t window) {
    const std::int32_t oldest = window > 0 ? std::max(0, rows.position - window + 1) : 0,
                       first = oldest / TENON_PAGE_TOKENS;
    return {rows.pages + first, nullptr, rows.n_pages - first, first};
  }

  std::vector<tenon_cache_spec> specs_;
  std::vector<std::int32_t> windows_, spec_of_layer_;  // [layers]
  std::vector<std::vector<tenon_read_pages>> pages_;   // per spec, one per sequence of the step
  std::vector<std::int32_t> made_for_;                 // per spec: the last layer that asked
};

}  // namespace

TENON_PLUGIN(Dense, TENON_ATTENTION_ID, AttentionTable);
