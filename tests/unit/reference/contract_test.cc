// The scalar definitions of the numbers contract against libm and plain sums: the exact side of
// tenon/abi/contract.h.
#include "tenon/abi/contract.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tenon {
namespace {

TEST(Contract, ExpIsWithinTwoUnitsInTheLastPlace) {
  for (double x = -86.9; x < 88; x += 0.0037) {
    const auto argument = static_cast<float>(x);
    const double want = std::exp(double{argument});
    EXPECT_NEAR(tenon_exp(argument) / want, 1, 2.4e-7) << argument;
  }
}

TEST(Contract, ExpAtItsEnds) {
  EXPECT_EQ(tenon_exp(0.0f), 1.0f);
  EXPECT_EQ(tenon_exp(-87.5f), 0.0f);
  EXPECT_EQ(tenon_exp(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(tenon_exp(1000.0f), tenon_exp(88.0f));
  EXPECT_TRUE(std::isfinite(tenon_exp(88.0f)));
}

TEST(Contract, LogIsThatOfLibm) {
  for (double x = 1e-30; x < 1e30; x *= 1.37)
    EXPECT_NEAR(tenon_log(x), std::log(x), 1e-13 * std::max(1.0, std::abs(std::log(x))));
  EXPECT_EQ(tenon_log(1.0), 0.0);
}

TEST(Contract, Sum16HasSixteenLanesAndHalves) {
  std::vector<float> x(37);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1) * 1.0001f;
  float lanes[16] = {};
  for (std::size_t i = 0; i < x.size(); ++i) lanes[i % 16] += x[i];
  for (const std::size_t half : {8, 4, 2, 1})
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  EXPECT_EQ(tenon_sum16(x.data(), 37), lanes[0]);
}

TEST(Contract, QuantiseRoundsToTheNearestOf255Steps) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 5);
  for (int round = 0; round < 200; ++round) {
    float x[32], most = 0;
    for (float& value : x) most = std::max(most, std::abs(value = normal(random)));
    std::int8_t q[32];
    std::int32_t sum = 0, want = 0;
    const float d = tenon_quantise32(x, q, &sum);
    for (int i = 0; i < 32; ++i) {
      EXPECT_LE(std::abs(d * static_cast<float>(q[i]) - x[i]), d * 0.501f);
      want += q[i];
    }
    EXPECT_EQ(sum, want);
    EXPECT_EQ(d, most / 127.0f);
  }
}

TEST(Contract, QuantiseOfZerosIsZero) {
  const float x[32] = {};
  std::int8_t q[32];
  std::int32_t sum = 1;
  EXPECT_EQ(tenon_quantise32(x, q, &sum), 0.0f);
  EXPECT_EQ(sum, 0);
}

TEST(Contract, RandomIsUniformAndAPureFunction) {
  double total = 0;
  int low = 0;
  for (std::uint64_t position = 0; position < 20000; ++position) {
    const float u = tenon_random(1, position, 0);
    ASSERT_TRUE(u >= 0 && u < 1);
    ASSERT_EQ(u, tenon_random(1, position, 0));
    total += u;
    low += u < 0.1f;
  }
  EXPECT_NEAR(total / 20000, 0.5, 0.01);
  EXPECT_NEAR(low, 2000, 200);
  EXPECT_NE(tenon_random(1, 5, 0), tenon_random(2, 5, 0));
  EXPECT_NE(tenon_random(1, 5, 0), tenon_random(1, 5, 1));
}

}  // namespace
}  // namespace tenon
