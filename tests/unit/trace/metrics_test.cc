#include "core/trace/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tenon {
namespace {

TEST(Metrics, PercentilesAreLinearBetweenRanks) {
  const std::vector<double> values = {1, 2, 3, 4, 10};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 3);
  EXPECT_DOUBLE_EQ(percentile(values, 90), 4 + 0.6 * 6);  // rank 3.6
  EXPECT_DOUBLE_EQ(percentile(values, 100), 10);
  EXPECT_DOUBLE_EQ(percentile({}, 50), 0);
  EXPECT_DOUBLE_EQ(median_of({4, 1}), 2.5);
}

// Two requests by hand:
//   a: comes at 1, starts at 1.5, tokens at 2, 3, 5
//   b: comes at 2, starts at 2.0, one token at 6
TEST(Metrics, AreThoseOfTheDefinitions) {
  const std::vector<RequestTimes> requests = {
      {.arrival = 1, .started = 1.5, .tokens = {2, 3, 5}, .prompt_tokens = 10, .finished = true},
      {.arrival = 2, .started = 2.0, .tokens = {6}, .prompt_tokens = 20, .finished = true}};
  EXPECT_DOUBLE_EQ(*requests[0].ttft(), 1);
  EXPECT_DOUBLE_EQ(*requests[0].tpot(), 1.5);  // (4 - 1) / 2
  EXPECT_DOUBLE_EQ(*requests[0].e2e(), 4);
  EXPECT_FALSE(requests[1].tpot().has_value());

  const ReplayMetrics m = metrics_of(requests, {.ttft = 3.0, .tpot = 2.0});
  EXPECT_EQ(m.finished, 2u);
  EXPECT_DOUBLE_EQ(m.ttft.mean, 2.5);
  EXPECT_DOUBLE_EQ(m.ttft.max, 4);
  EXPECT_EQ(m.tpot.count, 1u);
  EXPECT_EQ(m.itl.count, 2u);
  EXPECT_DOUBLE_EQ(m.itl.p50, 1.5);  // gaps 1 and 2
  EXPECT_DOUBLE_EQ(m.itl.max, 2);
  EXPECT_DOUBLE_EQ(m.queue.p50, 0.25);
  EXPECT_DOUBLE_EQ(m.duration, 6);
  EXPECT_DOUBLE_EQ(m.requests_per_second, 2.0 / 6);
  EXPECT_DOUBLE_EQ(m.output_tokens_per_second, 4.0 / 6);
  EXPECT_DOUBLE_EQ(m.total_tokens_per_second, 34.0 / 6);
  EXPECT_EQ(m.good, 1u);  // b's first token took 4 s
  EXPECT_DOUBLE_EQ(*m.goodput, 1.0 / 6);
}

TEST(Metrics, GoodputNeedsEveryBound) {
  const RequestTimes request{.arrival = 0, .tokens = {1, 2, 4}, .finished = true};
  EXPECT_TRUE(meets(request, {}));
  EXPECT_TRUE(meets(request, {.ttft = 1.0, .tpot = 1.5}));
  EXPECT_FALSE(meets(request, {.ttft = 0.9, .tpot = 1.5}));
  EXPECT_FALSE(meets(request, {.ttft = 1.0, .tpot = 1.4}));
  RequestTimes aborted = request;
  aborted.finished = false;
  EXPECT_FALSE(meets(aborted, {}));
}

bool names_goodput(const ServiceBounds& bounds) {
  const RequestTimes request{.arrival = 0, .tokens = {1, 2, 4}, .finished = true};
  const auto numbers = named_numbers(metrics_of(std::span(&request, 1), bounds));
  return std::any_of(numbers.begin(), numbers.end(),
                     [](const NamedNumber& n) { return n.name == "goodput_per_s"; });
}

// It would be the throughput under another name.
TEST(Metrics, WithoutABoundThereIsNoGoodput) {
  EXPECT_FALSE(names_goodput({}));
  EXPECT_TRUE(names_goodput({.ttft = 1.0}));
  EXPECT_TRUE(names_goodput({.tpot = 1.0}));
}

TEST(Metrics, WhatDidNotFinishCountsAsFarAsItCame) {
  const std::vector<RequestTimes> requests = {
      {.arrival = 0, .started = 0.5, .tokens = {1, 2}, .prompt_tokens = 5, .finished = false},
      {.arrival = 0.25, .prompt_tokens = 7}};
  const ReplayMetrics m = metrics_of(requests, {});
  EXPECT_EQ(m.requests, 2u);
  EXPECT_EQ(m.finished, 0u);
  EXPECT_EQ(m.ttft.count, 1u);
  EXPECT_EQ(m.itl.count, 1u);
  EXPECT_EQ(m.e2e.count, 0u);
  EXPECT_EQ(m.queue.count, 1u);
  EXPECT_DOUBLE_EQ(m.total_tokens_per_second, 7.0 / 2);  // the prompt that was never read is not in
}

TEST(Metrics, NothingIsNoNumberAndNoDivisionByZero) {
  const ReplayMetrics m = metrics_of({}, {});
  EXPECT_EQ(m.requests_per_second, 0);
  EXPECT_EQ(m.itl.max, 0);
  for (const NamedNumber& number : named_numbers(m)) {
    const bool count = number.name == "requests" || number.name == "finished";
    EXPECT_EQ(number.value, count ? std::optional(0.0) : std::nullopt) << number.name;
  }
}

}  // namespace
}  // namespace tenon
