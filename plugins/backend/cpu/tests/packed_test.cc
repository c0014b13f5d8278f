#include "packed.h"

#include <gtest/gtest.h>

#include "tests/fixtures/backends.h"

namespace tenon::cpu {
namespace {

tenon_weight source_of(TestWeight& weight) {
  const auto read = [](void* ctx, std::int64_t first, std::int64_t rows, void* values,
                       float* scales, float* mins) {
    const auto& w = *static_cast<TestWeight*>(ctx);
    if (w.layout == TENON_LAYOUT_F32)
      return void(
          std::copy_n(w.floats.begin() + first * w.k, rows * w.k, static_cast<float*>(values)));
    const std::int64_t groups = w.k / w.group();
    std::copy_n(w.values.begin() + first * w.k, rows * w.k, static_cast<std::int8_t*>(values));
    std::copy_n(w.scales.begin() + first * groups, rows * groups, scales);
    if (mins != nullptr) std::copy_n(w.mins.begin() + first * groups, rows * groups, mins);
  };
  return {{sizeof(tenon_weight), 0, nullptr},
          {"w", 1},
          0,
          weight.layout,
          weight.n,
          weight.k,
          weight.has_min,
          0,
          read,
          &weight};
}

void expect_rows_back(const PackedWeight& packed, const TestWeight& weight) {
  std::vector<float> row(static_cast<std::size_t>(weight.k));
  for (std::int64_t r = 0; r < weight.n; ++r) {
    unpack_row(packed, r, row.data());
    for (std::int64_t i = 0; i < weight.k; ++i) {
      const auto at = static_cast<std::size_t>(r * weight.k + i);
      const auto group = at / static_cast<std::size_t>(weight.group());
      const auto value = weight.layout == TENON_LAYOUT_F32 ? 0 : weight.values[at];
      const float want = weight.layout == TENON_LAYOUT_F32 ? weight.floats[at]
                         : weight.has_min                  ? std::fma(weight.scales[group],
                                                                      static_cast<float>(value), weight.mins[group])
                                          : weight.scales[group] * static_cast<float>(value);
      ASSERT_EQ(row[static_cast<std::size_t>(i)], want);
    }
  }
}

PackedWeight shaped(const tenon_weight& source, PackForm form) {
  PackedWeight out = shape_weight(source, form);
  out.own = aligned_bytes(out.bytes());
  out.tiles_at = out.own.get();
  return out;
}

// A packed row reads back as what went in, with the contract's one rounding.
TEST(Packed, EveryRowReadsBack) {
  std::mt19937 random(2);
  for (const auto& [layout, has_min] :
       std::vector<std::pair<tenon_layout, bool>>{{TENON_LAYOUT_Q4M32, true},
                                                  {TENON_LAYOUT_Q8M32, false},
                                                  {TENON_LAYOUT_Q8M32, true},
                                                  {TENON_LAYOUT_Q8N16, false},
                                                  {TENON_LAYOUT_F32, false}})
    for (const std::int64_t n : {1, 16, 19})
      for (const bool wide : {false, true}) {
        TestWeight weight(layout, n, 64, has_min, random, wide);
        const tenon_weight source = source_of(weight);
        PackedWeight packed = shaped(source, {wide});
        ASSERT_TRUE(pack_tiles(source, packed, 0, packed.tiles()));
        expect_rows_back(packed, weight);
      }
}

TEST(Packed, AScaleThatIsNoHalfAsksForFloats) {
  std::mt19937 random(2);
  for (const bool min : {false, true}) {
    TestWeight weight(TENON_LAYOUT_Q8M32, 2, 32, true, random);
    (min ? weight.mins : weight.scales)[1] = 0.1f;
    const tenon_weight source = source_of(weight);
    PackedWeight packed = shaped(source, {});
    EXPECT_FALSE(pack_tiles(source, packed, 0, packed.tiles()));
    const std::int64_t narrow = packed.tile_bytes();
    packed = shaped(source, {.wide = true});
    EXPECT_TRUE(pack_tiles(source, packed, 0, packed.tiles()));
    EXPECT_EQ(packed.tile_bytes(), narrow + 64);
    expect_rows_back(packed, weight);
  }
}

TEST(Packed, ValuesOfFiveBitsTakeFive) {
  std::mt19937 random(2);
  for (const bool has_min : {false, true})
    for (const bool wide : {false, true}) {
      TestWeight weight(TENON_LAYOUT_Q8M32, 19, 96, has_min, random, wide);
      const tenon_weight source = source_of(weight);
      EXPECT_TRUE((pack_forms(source)[wide ? 1 : 0] == PackForm{wide, true}));
      PackedWeight packed = shaped(source, {wide, true});
      EXPECT_FALSE(pack_tiles(source, packed, 0, packed.tiles()));
      weight.keep_five_bits();
      ASSERT_TRUE(pack_tiles(source, packed, 0, packed.tiles()));
      EXPECT_EQ(packed.tile_bytes() + 3 * 192, shape_weight(source, {wide}).tile_bytes());
      expect_rows_back(packed, weight);
    }
}

}  // namespace
}  // namespace tenon::cpu
