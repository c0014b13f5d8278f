#include "tenon/sdk/sample.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace tenon {
namespace {

tenon_sample_row greedy() { return {0, 0, -1, 0, 0, 1, 0, 0, 0, nullptr}; }

tenon_sample_result sample(const std::vector<float>& logits, const tenon_sample_row& row) {
  sdk::SampleScratch scratch;
  tenon_sample_result result{-1, 0, nullptr};
  sdk::sample_row(logits.data(), static_cast<std::int64_t>(logits.size()), row, scratch, result);
  return result;
}

// How often each token is drawn over many positions.
std::map<std::int32_t, int> histogram(const std::vector<float>& logits, tenon_sample_row row,
                                      int draws = 20000) {
  std::map<std::int32_t, int> out;
  for (row.position = 0; row.position < draws; ++row.position) ++out[sample(logits, row).token];
  return out;
}

TEST(Sample, GreedyTakesTheFirstOfEquals) {
  EXPECT_EQ(sample({1, 5, 2, 5, 0}, greedy()).token, 1);
  std::vector<float> many(100, 0.0f);
  many[77] = many[93] = 3;
  EXPECT_EQ(sample(many, greedy()).token, 77);
}

TEST(Sample, LogprobsAreLogSoftmax) {
  const std::vector<float> logits = {0.5f, -1, 3, 2};
  double total = 0;
  for (const float l : logits) total += std::exp(double{l});
  tenon_sample_row row = greedy();
  for (row.target = 0; row.target < 4; ++row.target)
    EXPECT_NEAR(sample(logits, row).logprob,
                logits[static_cast<std::size_t>(row.target)] - std::log(total), 1e-6);
}

TEST(Sample, FrequenciesFollowTheProbabilities) {
  tenon_sample_row row = greedy();
  row.temperature = 1;
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto seen = histogram(logits, row);
  EXPECT_NEAR(seen.at(0), 10000, 300);
  EXPECT_NEAR(seen.at(1), 6000, 300);
  EXPECT_NEAR(seen.at(2), 4000, 300);
}

TEST(Sample, TemperatureSharpens) {
  tenon_sample_row row = greedy();
  row.temperature = 0.5f;  // probabilities squared: 25, 9, 4 of 38
  EXPECT_NEAR(histogram({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, row).at(0),
              20000 * 25 / 38, 300);
}

TEST(Sample, TopKKeepsTheLargestAndTheLowerIndexOfEquals) {
  tenon_sample_row row = greedy();
  row.temperature = 1;
  row.top_k = 2;
  const auto seen = histogram({1, 2, 1, 1}, row, 3000);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen.contains(1) && seen.contains(0));
}

TEST(Sample, TopPKeepsTheShortestPrefixThatReachesIt) {
  tenon_sample_row row = greedy();
  row.temperature = 1;
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.4f)};
  row.top_p = 0.45f;
  EXPECT_EQ(histogram(logits, row, 2000).size(), 1u);
  row.top_p = 0.6f;
  const auto two = histogram(logits, row, 2000);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_FALSE(two.contains(0));
}

TEST(Sample, TopPOverManyCandidatesSortsAsFarAsItMust) {
  std::vector<float> logits(5000,
                            0.0f);  // all equal: 90 % are 4500 candidates, those of lowest index
  tenon_sample_row row = greedy();
  row.temperature = 1;
  row.top_p = 0.9f;
  std::int32_t most = 0;
  for (const auto& [token, count] : histogram(logits, row, 5000)) most = std::max(most, token);
  EXPECT_LT(most, 4501);
  EXPECT_GT(most, 4400);
}

TEST(Sample, MinPDropsTheUnlikely) {
  tenon_sample_row row = greedy();
  row.temperature = 1;
  row.min_p = 0.5f;
  EXPECT_EQ(histogram({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, row, 3000).size(), 2u);
}

TEST(Sample, AdjustmentsMoveTheChoiceAndNotTheLogprob) {
  const std::vector<float> logits = {2, 1.9f, -3};
  const tenon_sample_adjust penalty{0, 1.5f, 0}, bonus{2, 1, 9};
  tenon_sample_row row = greedy();
  row.n_adjust = 1;
  row.adjust = &penalty;
  EXPECT_EQ(sample(logits, row).token, 1);
  row.adjust = &bonus;
  const tenon_sample_result result = sample(logits, row);
  EXPECT_EQ(result.token, 2);
  row = greedy();
  row.target = 2;
  EXPECT_EQ(result.logprob, sample(logits, row).logprob);
}

TEST(Sample, ARepetitionPenaltyMakesNegativeLogitsMoreNegative) {
  const tenon_sample_adjust penalty{0, 2, 0};
  tenon_sample_row row = greedy();
  row.n_adjust = 1;
  row.adjust = &penalty;
  EXPECT_EQ(sample({-1, -1.5f}, row).token, 1);
}

TEST(Sample, TopIsSortedAndTiesByIndex) {
  sdk::SampleScratch scratch;
  std::vector<tenon_token_logprob> top(3);
  tenon_sample_result result{-1, 0, top.data()};
  tenon_sample_row row = greedy();
  row.n_top = 3;
  const std::vector<float> logits = {1, 4, 2, 4, 0};
  sdk::sample_row(logits.data(), 5, row, scratch, result);
  EXPECT_EQ(top[0].token, 1);
  EXPECT_EQ(top[1].token, 3);
  EXPECT_EQ(top[2].token, 2);
}

TEST(Sample, LogitsThatAreNoDistributionGiveNoToken) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  tenon_sample_row drawn = greedy(), scored = greedy();
  drawn.temperature = 1;
  drawn.top_k = 3;
  scored.target = 2;
  for (const std::vector<float>& logits : {std::vector<float>(40, nan),
                                           std::vector<float>(40, -inf),
                                           {nan, 1, 2, 3},
                                           {1, 2, nan, 3},
                                           {1, inf, 2, 3}})
    for (tenon_sample_row row : {greedy(), drawn, scored}) {
      tenon_token_logprob top[3] = {};
      row.n_top = 3;
      sdk::SampleScratch scratch;
      tenon_sample_result result{7, 0, top};
      sdk::sample_row(logits.data(), static_cast<std::int64_t>(logits.size()), row, scratch,
                      result);
      EXPECT_EQ(result.token, -1);
      EXPECT_TRUE(std::isnan(result.logprob));
      EXPECT_EQ(top[2].token, -1);
    }
  EXPECT_EQ(sample({-inf, 2, -inf, 1}, greedy()).token, 1);  // some ruled out is a distribution
}

TEST(Sample, ATemperatureTooSmallToDivideByIsGreedy) {
  tenon_sample_row row = greedy();
  row.temperature = 1e-38f;
  EXPECT_EQ(sample({5, 9, 4, -1}, row).token, 1);
  EXPECT_EQ(sample({-9, -5, -4, -7}, row).token, 2);
}

}  // namespace
}  // namespace tenon
