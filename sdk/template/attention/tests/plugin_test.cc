// Which pages the sequences of a step read.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::GivenParams;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

using Attention = OpenedPlugin<tenon_attention_v1>;

// Two layers, the second with a window of its own.
std::vector<tenon_cache_spec> plan(const Attention& plugin) {
  const tenon_attention_layer of_layer[2] = {{10000, 0, -1, -1, 0}, {10000, 128, -1, -1, 0}};
  tenon_attention_geometry geometry{};
  geometry.hdr = {sizeof geometry, 0, nullptr};
  geometry.layers = 2;
  geometry.q_heads = geometry.kv_heads = 1;
  geometry.head_dim = 32;
  geometry.of_layer = of_layer;
  tenon_layer_plan layers[2];
  std::vector<tenon_cache_spec> specs(8);
  std::uint32_t n_specs = 0;
  TENON_CHECK_OK(outcome([&](tenon_call* call) {
    return plugin->plan_layers(plugin.self(), &geometry, layers, specs.data(), &n_specs, call);
  }));
  specs.resize(n_specs);
  return specs;
}

// What one sequence with 300 tokens reads for its next one: {first page, pages}.
std::pair<std::int32_t, std::int32_t> read(const Attention& plugin, std::int32_t layer) {
  const std::uint32_t pages[] = {7, 3, 9, 4, 8};
  const tenon_sequence_rows rows{0, 1, 300, 5, pages, 0, 0};
  const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 1};
  tenon_read_set out{};
  TENON_CHECK_OK(outcome(
      [&](tenon_call* call) { return plugin->select(plugin.self(), &batch, layer, &out, call); }));
  TENON_CHECK(out.n_sequences == 1 && out.sequences[0].page_index == nullptr);
  TENON_CHECK(out.sequences[0].pages == pages + out.sequences[0].first_index);
  return {out.sequences[0].first_index, out.sequences[0].n_pages};
}

}  // namespace

int main(int, char** argv) {
  FakeHost host;
  const Attention dense(argv[1], TENON_ATTENTION_ID, host, GivenParams().set("window_tokens", 0));
  TENON_CHECK(plan(dense).size() == 2);
  TENON_CHECK(read(dense, 0) == std::pair(0, 5));
  TENON_CHECK(read(dense, 1) == std::pair(2, 3));  // 173 .. 300

  const Attention window(argv[1], TENON_ATTENTION_ID, host, GivenParams().set("window_tokens", 70));
  const std::vector<tenon_cache_spec> specs = plan(window);
  TENON_CHECK(specs.size() == 2 && specs[0].window == 0 && specs[1].window == 128);
  TENON_CHECK(read(window, 0) == std::pair(3, 2));  // 231 .. 300
  return 0;
}
