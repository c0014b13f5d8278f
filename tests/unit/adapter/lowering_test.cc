#include "core/adapter/lowering.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace tenon {
namespace {

TEST(Lowering, PairedHeadsAreAPermutationOfEachHead) {
  SiteShape site{0, "q", 24, 2, 3};  // heads of 8
  std::set<std::int64_t> seen;
  for (std::int64_t row = 0; row < site.n; ++row) {
    const std::int64_t published = published_row(site, row);
    EXPECT_EQ(published / 8, row / 8);
    seen.insert(published);
  }
  EXPECT_EQ(seen.size(), 24u);
  // "rows 0, d/2, 1, d/2 + 1, ..."
  const std::int64_t second[] = {8, 12, 9, 13, 10, 14, 11, 15};
  for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(published_row(site, 8 + i), second[i]);
  site.paired_heads = 0;
  EXPECT_EQ(published_row(site, 13), 13);
}

TEST(Lowering, FactorsAreBroughtBelowOneAndTheProductStays) {
  const SiteShape site{0, "m", 2, 3, 0};
  const float a[] = {1000, -3, 0.5f}, b[] = {1e-6f, -4e-6f};
  const auto factors = take_factors(site, {1, 0, 0.25, a, b});
  ASSERT_TRUE(factors.ok());
  const double scale = factors->scale;
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t k = 0; k < 3; ++k)
      EXPECT_EQ(scale * (double{factors->b[n]} * factors->a[k]), 0.25 * (double{b[n]} * a[k]));
  EXPECT_LT(std::abs(factors->a[0]), 1);
  EXPECT_GE(std::abs(factors->a[0]), 0.5);
  EXPECT_LT(std::abs(factors->b[1]), 1);
  EXPECT_GE(std::abs(factors->b[1]), 0.5);
}

TEST(Lowering, ZerosStayZeros) {
  const SiteShape site{0, "m", 1, 2, 0};
  const float zeros[] = {0, 0};
  const auto factors = take_factors(site, {1, 0, 2, zeros, zeros});
  ASSERT_TRUE(factors.ok());
  EXPECT_EQ(factors->scale, 2);
  EXPECT_EQ(factors->a, std::vector<float>(2, 0.0f));
}

TEST(Lowering, WhatAPluginMustNotAnswerIsRefused) {
  const SiteShape site{0, "m", 1, 1, 0};
  const float one = 1, nan = std::numeric_limits<float>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  for (const tenon_lowered& lowered :
       {tenon_lowered{-1, 0, 1, &one, &one}, tenon_lowered{1 << 20, 0, 1, &one, &one},
        tenon_lowered{1, 0, inf, &one, &one}, tenon_lowered{1, 0, 1, nullptr, &one},
        tenon_lowered{1, 0, 1, &one, nullptr}}) {
    const auto taken = take_factors(site, lowered);
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().id, "TENON-D014");
  }
  const auto taken = take_factors(site, {1, 0, 1, &one, &nan});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().id, "TENON-D015");
}

}  // namespace
}  // namespace tenon
