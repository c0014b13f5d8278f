#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

struct Planned {
  std::vector<tenon_layer_plan> layers;
  tenon_cache_spec specs[8] = {};
  std::uint32_t n_specs = 0;
};

// Layers with these windows.
Planned plan(const iface::Attention& dense, const std::vector<std::int32_t>& windows) {
  std::vector<tenon_attention_layer> of_layer;
  for (const std::int32_t window : windows) of_layer.push_back({10000, window, -1, -1, 0});
  tenon_attention_geometry geometry{};
  geometry.layers = static_cast<std::int32_t>(windows.size());
  geometry.q_heads = 9;
  geometry.kv_heads = 3;
  geometry.head_dim = 64;
  geometry.of_layer = of_layer.data();
  Planned out{std::vector<tenon_layer_plan>(windows.size())};
  EXPECT_TRUE(dense.plan_layers(&geometry, out.layers.data(), out.specs, &out.n_specs).ok());
  return out;
}

TEST(Dense, LayersOfOneWindowShareASpec) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  const Planned one = plan(dense, {0, 0, 0});
  ASSERT_EQ(one.n_specs, 1u);
  EXPECT_EQ(one.specs[0].layers, 3);
  EXPECT_EQ(one.specs[0].kv_heads, 3);
  EXPECT_EQ(one.specs[0].head_dim, 64);
  EXPECT_EQ(one.specs[0].window, 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(one.layers[static_cast<std::size_t>(i)].spec_layer, i);

  const Planned two = plan(dense, {512, 0, 512, 512, 0});
  ASSERT_EQ(two.n_specs, 2u);
  EXPECT_EQ(two.specs[0].window, 512);
  EXPECT_EQ(two.specs[0].layers, 3);
  EXPECT_EQ(two.specs[1].window, 0);
  EXPECT_EQ(two.specs[1].layers, 2);
  EXPECT_EQ(two.layers[3].spec, 0);
  EXPECT_EQ(two.layers[3].spec_layer, 2);
  EXPECT_EQ(two.layers[4].spec, 1);
  EXPECT_EQ(two.layers[4].spec_layer, 1);
}

TEST(Dense, MoreWindowsThanSpecsAreRefused) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  std::vector<tenon_attention_layer> of_layer;
  for (std::int32_t i = 1; i <= 9; ++i) of_layer.push_back({10000, 64 * i, -1, -1, 0});
  tenon_attention_geometry geometry{};
  geometry.layers = 9;
  geometry.of_layer = of_layer.data();
  std::vector<tenon_layer_plan> layers(9);
  tenon_cache_spec specs[8];
  std::uint32_t n_specs = 0;
  EXPECT_FALSE(dense.plan_layers(&geometry, layers.data(), specs, &n_specs).ok());
}

TEST(Dense, ReadsAllPagesOfEachSequenceOnEveryLayer) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  plan(dense, {0, 0, 0});
  const std::uint32_t first[] = {7, 3}, second[] = {5};
  for (const int sequences : {2, 1, 2}) {  // steps with other batches
    const tenon_sequence_rows rows[] = {{0, 1, 100, 2, first, 0, 0}, {1, 4, 0, 1, second, 0, 0}};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, rows, sequences, 5};
    for (int layer = 0; layer < 3; ++layer) {
      tenon_read_set read{};
      ASSERT_TRUE(dense.select(&batch, layer, &read).ok());
      ASSERT_EQ(read.n_sequences, sequences);
      for (int s = 0; s < sequences; ++s) {
        EXPECT_EQ(read.sequences[s].n_pages, rows[s].n_pages);
        EXPECT_EQ(read.sequences[s].page_index, nullptr);
        EXPECT_EQ(read.sequences[s].first_index, 0);
        EXPECT_EQ(read.sequences[s].pages, rows[s].pages);
      }
    }
  }
}

TEST(Dense, AWindowLayerReadsThePagesThatItsRowsStillSee) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  plan(dense, {100, 0});
  const std::uint32_t pages[] = {9, 8, 7, 6};
  const auto read_at = [&](int layer, std::int32_t position) {
    const tenon_sequence_rows rows{0, 1, position, position / 64 + 1, pages, 0, 0};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 1};
    tenon_read_set read{};
    EXPECT_TRUE(dense.select(&batch, layer, &read).ok());
    return std::pair(read.sequences[0].first_index, read.sequences[0].n_pages);
  };
  EXPECT_EQ(read_at(0, 99), (std::pair(0, 2)));
  EXPECT_EQ(read_at(0, 162), (std::pair(0, 3)));  // position 63 is 99 before
  EXPECT_EQ(read_at(0, 163), (std::pair(1, 2)));
  EXPECT_EQ(read_at(1, 163), (std::pair(0, 3)));
}

}  // namespace
}  // namespace tenon
