// Dense causal attention: every layer keeps one K and one V per token and key-value head, and every
// row reads all pages up to its own. It is the baseline and the oracle of the other attention
// methods; the arithmetic is the backend's attend.
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;

class Dense {
 public:
  Dense(const tenon::sdk::Host&, const tenon::sdk::Params&) {}

  Status plan_layers(const tenon_attention_geometry* geometry, tenon_layer_plan* layers,
                     tenon_cache_spec* specs, std::uint32_t* n_specs) {
    for (std::int32_t i = 0; i < geometry->layers; ++i) layers[i] = {0, i};
    specs[0] = {{sizeof(tenon_cache_spec), 0, nullptr},
                geometry->layers,
                geometry->kv_heads,
                geometry->head_dim,
                0};
    *n_specs = 1;
    return {};
  }

  // The answer is the same on all layers of a step: made on the first, kept for the others.
  Status select(const tenon_attention_batch* batch, std::int32_t layer, tenon_read_set* out) {
    if (layer == 0 || pages_.size() != static_cast<std::size_t>(batch->n_sequences)) {
      pages_.resize(static_cast<std::size_t>(batch->n_sequences));
      for (std::int32_t i = 0; i < batch->n_sequences; ++i)
        pages_[static_cast<std::size_t>(i)] = {batch->sequences[i].pages, nullptr,
                                               batch->sequences[i].n_pages, 0};
    }
    *out = {{sizeof *out, 0, nullptr}, pages_.data(), batch->n_sequences, 0};
    return {};
  }

 private:
  std::vector<tenon_read_pages> pages_;  // one per sequence of the running step
};

}  // namespace

TENON_PLUGIN(Dense, TENON_ATTENTION_ID, AttentionTable);
