#include "core/base/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace tenon {
namespace {

const std::vector<std::string> kKnown = {"top_k", "top_p", "temperature"};

TEST(Suggest, NearNameIsFound) {
  EXPECT_EQ(nearest_name("topk", kKnown), "top_k");
  EXPECT_EQ(nearest_name("temprature", kKnown), "temperature");
  EXPECT_EQ(suggest_fix("topk", kKnown), "did you mean \"top_k\"?");
}

TEST(Suggest, FarNameListsWhatIsKnown) {
  EXPECT_EQ(nearest_name("bananas", kKnown), "");
  EXPECT_EQ(suggest_fix("bananas", kKnown), "known: top_k, top_p, temperature");
}

}  // namespace
}  // namespace tenon
