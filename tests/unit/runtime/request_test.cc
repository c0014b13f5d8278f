#include "core/runtime/request.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(Adjustments, BiasAndPenaltiesOfOneTokenAddUp) {
  Request request;
  request.spec.prompt = {5, 6};
  request.spec.sampling = {.repetition_penalty = 1.5,
                           .presence_penalty = 0.5,
                           .frequency_penalty = 0.25,
                           .logit_bias = {{7, 2.0}}};
  start_adjustments(request);
  ASSERT_EQ(request.adjust.size(), 3u);
  EXPECT_EQ(request.adjust[request.adjust_of[5]].repetition, 1.5f);
  EXPECT_EQ(request.adjust[request.adjust_of[7]].repetition,
            1.0f);  // a bias alone does not count as seen
  count_token(request, 7);
  count_token(request, 7);
  EXPECT_EQ(request.adjust[request.adjust_of[7]].repetition, 1.5f);
  EXPECT_EQ(request.adjust[request.adjust_of[7]].add, 2.0f - 0.5f - 0.25f - 0.25f);
}

TEST(Adjustments, NoneCostNothing) {
  Request request;
  request.spec.prompt = {5, 6};
  start_adjustments(request);
  count_token(request, 9);
  EXPECT_TRUE(request.adjust.empty());
}

}  // namespace
}  // namespace tenon
