#include "core/trace/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/trace/metrics.h"
#include "core/trace/random.h"

namespace tenon {
namespace {

struct Moments {
  double mean = 0, cv = 0;  // cv: standard deviation as a part of the mean
};

Moments moments_of(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, std::sqrt(squares / static_cast<double>(values.size())) / mean};
}

std::vector<TraceRow> rows_of(const TraceShape& shape) {
  auto rows = generate_trace(shape);
  EXPECT_TRUE(rows.ok()) << rows.error().to_string();
  return rows.ok() ? std::move(*rows) : std::vector<TraceRow>();
}

std::vector<double> gaps_of(const TraceShape& shape) {
  std::vector<double> gaps;
  double before = 0;
  for (const TraceRow& row : rows_of(shape)) {
    gaps.push_back(row.arrival - before);
    before = row.arrival;
  }
  return gaps;
}

// 50,000 draws: the mean's own error is 0.45 % for a cv of 1. Seeds are fixed.
constexpr std::int64_t kMany = 50'000;

TEST(Generate, GapsHaveTheMeanAndSpreadOfTheirDistribution) {
  struct Case {
    Arrivals arrivals;
    double cv, expected;
  };
  for (const Case& c : {Case{Arrivals::kConstant, 1, 0}, Case{Arrivals::kPoisson, 1, 1},
                        Case{Arrivals::kGamma, 0.5, 0.5}, Case{Arrivals::kGamma, 1, 1},
                        Case{Arrivals::kGamma, 3, 3}}) {
    const Moments m =
        moments_of(gaps_of({.count = kMany, .arrivals = c.arrivals, .rate = 4, .cv = c.cv}));
    EXPECT_NEAR(m.mean, 0.25, 0.25 * 0.02 * std::max(1.0, c.cv));
    EXPECT_NEAR(m.cv, c.expected, 0.04 * c.expected + 1e-6);
  }
}

// A Poisson process: the share of gaps above the mean is 1/e, of those above twice the mean 1/e^2.
TEST(Generate, PoissonGapsAreExponential) {
  const auto gaps = gaps_of({.count = kMany, .rate = 1});
  for (const double bound : {0.5, 1.0, 2.0, 4.0}) {
    const auto above = std::count_if(gaps.begin(), gaps.end(), [&](double g) { return g > bound; });
    EXPECT_NEAR(static_cast<double>(above) / kMany, std::exp(-bound), 0.008) << bound;
  }
}

TEST(Generate, ARateOfZeroIsAllAtOnce) {
  for (const TraceRow& row : rows_of({.count = 10, .rate = 0})) EXPECT_EQ(row.arrival, 0);
}

TEST(Generate, PublishedLengthsHaveTheirMedianAnd90thPercentile) {
  struct Case {
    Lengths lengths;
    double prompt50, prompt90, prompt_sd, answer50, answer90;
    std::int64_t context;
  };
  for (const Case& c : {Case{Lengths::kShareGpt, 1730, 5696, 2088, 415, 834, 8192},
                        Case{Lengths::kArxiv, 7059, 12985, 3638, 208, 371, 16384}}) {
    std::vector<double> prompts, answers;
    for (const TraceRow& row : rows_of({.count = kMany, .lengths = c.lengths})) {
      prompts.push_back(static_cast<double>(row.prompt_tokens()));
      answers.push_back(row.max_tokens);
      EXPECT_LE(row.prompt_tokens() + row.max_tokens, c.context + 1);
    }
    const Moments m = moments_of(prompts);
    EXPECT_NEAR(m.mean * m.cv, c.prompt_sd, 0.03 * c.prompt_sd);  // not fitted
    const Distribution prompt = distribution_of(prompts), answer = distribution_of(answers);
    EXPECT_NEAR(prompt.p50, c.prompt50, 0.02 * c.prompt50);
    EXPECT_NEAR(prompt.p90, c.prompt90, 0.02 * c.prompt90);
    EXPECT_NEAR(answer.p50, c.answer50, 0.02 * c.answer50);
    EXPECT_NEAR(answer.p90, c.answer90, 0.02 * c.answer90);
  }
}

TEST(Generate, ScaleShortensEveryLengthAlike) {
  const auto whole = rows_of({.count = 500, .lengths = Lengths::kShareGpt});
  const auto tenth = rows_of({.count = 500, .lengths = Lengths::kShareGpt, .scale = 0.1});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(tenth[i].prompt_tokens()),
                std::max(1.0, 0.1 * static_cast<double>(whole[i].prompt_tokens())), 0.6);
    EXPECT_GE(tenth[i].max_tokens, 1);
  }
}

TEST(Generate, UniformLengthsReachBothEndsAndTheirMean) {
  std::vector<double> prompts;
  for (const TraceRow& row :
       rows_of({.count = kMany, .lengths = Lengths::kUniform, .prompt_mean = 10}))
    prompts.push_back(static_cast<double>(row.prompt_tokens()));
  EXPECT_EQ(*std::min_element(prompts.begin(), prompts.end()), 1);
  EXPECT_EQ(*std::max_element(prompts.begin(), prompts.end()), 19);
  EXPECT_NEAR(moments_of(prompts).mean, 10, 0.1);
}

TEST(Generate, AdaptersFollowZipf) {
  std::map<std::string, double> share;
  for (const TraceRow& row : rows_of({.count = kMany, .adapters = 20, .zipf = 1.2}))
    share[row.adapter] += 1.0 / kMany;
  double sum = 0;
  for (int i = 1; i <= 20; ++i) sum += std::pow(i, -1.2);
  for (const int i : {1, 2, 5, 20})
    EXPECT_NEAR(share[std::string("a").append(std::to_string(i - 1))], std::pow(i, -1.2) / sum,
                0.006)
        << i;
  EXPECT_EQ(share.size(), 20u);
}

TEST(Generate, SharedBeginningsFormATree) {
  const auto rows = rows_of({.count = 400, .prefix_levels = 2, .prefix_fanout = 3});
  std::set<std::uint64_t> first, second, own;
  std::map<std::uint64_t, std::uint64_t> parent;
  for (const TraceRow& row : rows) {
    ASSERT_EQ(row.segments.size(), 3u);
    first.insert(row.segments[0].seed);
    second.insert(row.segments[1].seed);
    own.insert(row.segments[2].seed);
    const auto [at, is_new] = parent.try_emplace(row.segments[1].seed, row.segments[0].seed);
    EXPECT_EQ(at->second, row.segments[0].seed);  // a node has one parent
    EXPECT_EQ(row.prompt_tokens(), 64 + 64 + 128);
  }
  EXPECT_EQ(first.size(), 3u);
  EXPECT_EQ(second.size(), 9u);
  EXPECT_EQ(own.size(), 400u);
}

TEST(Generate, TheSameSeedGivesTheSameTrace) {
  const TraceShape shape{.count = 200,
                         .arrivals = Arrivals::kGamma,
                         .cv = 2,
                         .lengths = Lengths::kArxiv,
                         .adapters = 5,
                         .prefix_levels = 1};
  EXPECT_EQ(rows_of(shape), rows_of(shape));
  TraceShape other = shape;
  other.seed = 2;
  EXPECT_NE(rows_of(other), rows_of(shape));
  // Another thing's change leaves the rest as it was.
  other = shape;
  other.adapters = 0;
  const auto with = rows_of(shape), without = rows_of(other);
  for (std::size_t i = 0; i < with.size(); ++i) {
    EXPECT_EQ(with[i].arrival, without[i].arrival);
    EXPECT_EQ(with[i].segments, without[i].segments);
  }
}

// The generators are ours, so that this holds on every system.
TEST(Generate, ASeedNamesATrace) {
  TraceRandom random(1);
  EXPECT_EQ(random.bits(), 2469588189546311528u);  // std::mt19937_64's, which the standard fixes
  EXPECT_NEAR(random.uniform(), 0.13640703636619733, 1e-15);
}

TEST(Generate, RefusesByName) {
  for (const TraceShape& shape :
       {TraceShape{.count = 0}, TraceShape{.rate = -1}, TraceShape{.rate = std::nan("")},
        TraceShape{.cv = 0}, TraceShape{.prompt_mean = 0}, TraceShape{.scale = 2},
        TraceShape{.adapters = -1}, TraceShape{.prefix_levels = 65}}) {
    const auto rows = generate_trace(shape);
    ASSERT_FALSE(rows.ok());
    EXPECT_EQ(rows.error().id, "TENON-A023");
  }
}

}  // namespace
}  // namespace tenon
