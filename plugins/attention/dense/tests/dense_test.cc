#include <gtest/gtest.h>

#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

TEST(Dense, EveryLayerHasItsPlaceInOneSpec) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  tenon_attention_geometry geometry{};
  geometry.layers = 3;
  geometry.q_heads = 9;
  geometry.kv_heads = 3;
  geometry.head_dim = 64;
  tenon_layer_plan layers[3];
  tenon_cache_spec specs[8];
  std::uint32_t n_specs = 0;
  ASSERT_TRUE(dense.plan_layers(&geometry, layers, specs, &n_specs).ok());
  ASSERT_EQ(n_specs, 1u);
  EXPECT_EQ(specs[0].layers, 3);
  EXPECT_EQ(specs[0].kv_heads, 3);
  EXPECT_EQ(specs[0].head_dim, 64);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(layers[i].spec_layer, i);
}

TEST(Dense, ReadsAllPagesOfEachSequenceOnEveryLayer) {
  const OpenPlugin plugin("tenon.attention.dense");
  const auto dense = plugin.as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID);
  const std::uint32_t first[] = {7, 3}, second[] = {5};
  for (const int sequences : {2, 1, 2}) {  // steps with other batches
    const tenon_sequence_rows rows[] = {{0, 1, 100, 2, first}, {1, 4, 0, 1, second}};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, rows, sequences, 5};
    for (int layer = 0; layer < 3; ++layer) {
      tenon_read_set read{};
      ASSERT_TRUE(dense.select(&batch, layer, &read).ok());
      ASSERT_EQ(read.n_sequences, sequences);
      for (int s = 0; s < sequences; ++s) {
        EXPECT_EQ(read.sequences[s].n_pages, rows[s].n_pages);
        EXPECT_EQ(read.sequences[s].page_index, nullptr);
        EXPECT_EQ(read.sequences[s].pages, rows[s].pages);
      }
    }
  }
}

}  // namespace
}  // namespace tenon
