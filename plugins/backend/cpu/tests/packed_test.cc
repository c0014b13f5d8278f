#include "packed.h"

#include <gtest/gtest.h>

#include "tests/fixtures/backends.h"

namespace tenon::cpu {
namespace {

// A packed row reads back as what went in, with the contract's one rounding.
TEST(Packed, EveryRowReadsBack) {
  std::mt19937 random(2);
  for (const auto& [layout, has_min] :
       std::vector<std::pair<tenon_layout, bool>>{{TENON_LAYOUT_Q4M32, true},
                                                  {TENON_LAYOUT_Q8M32, false},
                                                  {TENON_LAYOUT_Q8M32, true},
                                                  {TENON_LAYOUT_F32, false}})
    for (const std::int64_t n : {1, 16, 19}) {
      TestWeight weight(layout, n, 64, has_min, random);
      const auto read = [](void* ctx, std::int64_t first, std::int64_t rows, void* values,
                           float* scales, float* mins) {
        const auto& w = *static_cast<TestWeight*>(ctx);
        if (w.layout == TENON_LAYOUT_F32)
          return void(
              std::copy_n(w.floats.begin() + first * w.k, rows * w.k, static_cast<float*>(values)));
        std::copy_n(w.values.begin() + first * w.k, rows * w.k, static_cast<std::int8_t*>(values));
        std::copy_n(w.scales.begin() + first * 2, rows * 2, scales);
        if (mins != nullptr) std::copy_n(w.mins.begin() + first * 2, rows * 2, mins);
      };
      const tenon_weight source{
          {sizeof source, 0, nullptr}, {"w", 1}, 0, layout, n, 64, has_min, 0, read, &weight};
      PackedWeight packed;
      shape_weight(source, packed);
      ASSERT_TRUE(pack_tiles(source, packed, 0, packed.tiles()));
      std::vector<float> row(64);
      for (std::int64_t r = 0; r < n; ++r) {
        unpack_row(packed, r, row.data());
        for (std::int64_t i = 0; i < 64; ++i) {
          const auto at = static_cast<std::size_t>(r * 64 + i);
          const float want =
              layout == TENON_LAYOUT_F32 ? weight.floats[at]
              : has_min ? std::fma(weight.scales[at / 32], static_cast<float>(weight.values[at]),
                                   weight.mins[at / 32])
                        : weight.scales[at / 32] * static_cast<float>(weight.values[at]);
          ASSERT_EQ(row[static_cast<std::size_t>(i)], want);
        }
      }
    }
}

TEST(Packed, AScaleThatIsNoHalfIsRefused) {
  std::mt19937 random(2);
  TestWeight weight(TENON_LAYOUT_Q8M32, 2, 32, false, random);
  weight.scales[1] = 0.1f;
  const auto read = [](void* ctx, std::int64_t first, std::int64_t rows, void* values,
                       float* scales, float*) {
    const auto& w = *static_cast<TestWeight*>(ctx);
    std::copy_n(w.values.begin() + first * w.k, rows * w.k, static_cast<std::int8_t*>(values));
    std::copy_n(w.scales.begin() + first, rows, scales);
  };
  const tenon_weight source{
      {sizeof source, 0, nullptr}, {"wide", 4}, 0, TENON_LAYOUT_Q8M32, 2, 32, 0, 0, read, &weight};
  PackedWeight packed;
  shape_weight(source, packed);
  EXPECT_FALSE(pack_tiles(source, packed, 0, packed.tiles()));
}

}  // namespace
}  // namespace tenon::cpu
