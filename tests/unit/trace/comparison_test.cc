#include "core/trace/comparison.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tenon {
namespace {

constexpr std::size_t kRounds = 10;

std::vector<double> noisy(double middle, double deviation, std::mt19937& random,
                          std::size_t n = kRounds) {
  std::normal_distribution<double> normal(middle, middle * deviation);
  std::vector<double> out(n);
  for (double& value : out) value = normal(random);
  return out;
}

// A, A again and B as `tenon bench --against` measures them.
Difference verdict_of(double shift, double deviation, std::uint32_t seed) {
  std::mt19937 random(seed);
  const std::vector<double> a = noisy(100, deviation, random), same = noisy(100, deviation, random),
                            b = noisy(100 * shift, deviation, random);
  return compare_samples(a, b, noise_of(ratio_of_medians(a, same))).difference;
}

int count(Difference verdict, double shift, double deviation) {
  int n = 0;
  for (std::uint32_t seed = 0; seed < 100; ++seed)
    n += verdict_of(shift, deviation, seed) == verdict ? 1 : 0;
  return n;
}

TEST(Comparison, KnownSamples) {
  const std::vector<double> a = {10, 11, 12, 13, 14}, twice = {20, 22, 24, 26, 28};
  const RatioEstimate ratio = ratio_of_medians(a, twice);
  EXPECT_DOUBLE_EQ(ratio.ratio, 2);
  EXPECT_DOUBLE_EQ(ratio.low, 2);  // of every draw of pairs
  EXPECT_DOUBLE_EQ(ratio.high, 2);
  EXPECT_EQ(compare_samples(a, twice, 0.1).difference, Difference::kMore);
  EXPECT_EQ(compare_samples(twice, a, 0.1).difference, Difference::kLess);
  EXPECT_EQ(compare_samples(a, twice, 1.5).difference, Difference::kNoDifference);
  EXPECT_EQ(compare_samples(a, a, 0).difference, Difference::kNoDifference);
}

TEST(Comparison, SamplesOfOtherSizesAreNoPairs) {
  const std::vector<double> a = {10, 11, 12, 13, 14}, b = {20, 22, 24, 26, 28, 24};
  const RatioEstimate ratio = ratio_of_medians(a, b);
  EXPECT_DOUBLE_EQ(ratio.ratio, 2);
  EXPECT_LT(ratio.low, 2);
  EXPECT_GT(ratio.high, 2);
  EXPECT_GT(ratio.low, 1);
}

TEST(Comparison, TooFewValuesDecideNothing) {
  const std::vector<double> a = {10, 10, 10, 10}, b = {20, 20, 20, 20};
  EXPECT_EQ(compare_samples(a, b, 0).difference, Difference::kTooFew);
  EXPECT_EQ(compare_samples({}, b, 0).difference, Difference::kTooFew);
  EXPECT_DOUBLE_EQ(ratio_of_medians({}, b).ratio, 1);
}

TEST(Comparison, TheSameThingTwiceIsNoDifference) {
  for (const double deviation : {0.002, 0.01, 0.05})
    EXPECT_GE(count(Difference::kNoDifference, 1, deviation), 95) << deviation;
}

TEST(Comparison, AShiftBeyondTheNoiseIsFound) {
  EXPECT_GE(count(Difference::kMore, 1.05, 0.01), 95);
  EXPECT_GE(count(Difference::kLess, 0.95, 0.01), 95);
  EXPECT_GE(count(Difference::kNoDifference, 1.05, 0.2), 90);
}

// A machine that is at times half as fast, for both.
TEST(Comparison, WhatSlowsBothOfAPairChangesNothing) {
  std::mt19937 random(7);
  std::vector<double> a = noisy(100, 0.01, random), same = noisy(100, 0.01, random),
                      b = noisy(110, 0.01, random);
  for (std::size_t i = 0; i < kRounds; i += 2)
    for (std::vector<double>* sample : {&a, &same, &b}) (*sample)[i] /= 2;
  const SampleComparison result = compare_samples(a, b, noise_of(ratio_of_medians(a, same)));
  EXPECT_EQ(result.difference, Difference::kMore);
  EXPECT_NEAR(result.change.ratio, 1.1, 0.03);
  EXPECT_LT(result.noise, 0.05);
}

TEST(Comparison, TheSameSamplesGiveTheSameAnswer) {
  std::mt19937 random(3);
  const std::vector<double> a = noisy(50, 0.1, random), b = noisy(60, 0.1, random);
  const RatioEstimate first = ratio_of_medians(a, b), second = ratio_of_medians(a, b);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
}

}  // namespace
}  // namespace tenon
