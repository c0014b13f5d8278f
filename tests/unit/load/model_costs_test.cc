#include "core/load/model_costs.h"

#include <gtest/gtest.h>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

// Two layers of width 96 with heads 3/1 of 32 and a feed-forward of 160: core/conform/tiny_model.h.
constexpr double kFloats = 96 * 96;  // of one layer's attention output, F16 in the file
constexpr double kEights = 2 * 32 * 96;
constexpr double kFours = 2 * (96 * 96 + 32 * 96 + 3 * 160 * 96) + 96 * 96;

void expect_tiny_costs(const LoadedEngine& engine) {
  const ModelCosts costs = engine.costs();
  const double vocabulary = engine.model().decoder.vocabulary;
  ASSERT_EQ(costs.head.size(), 1u);
  EXPECT_EQ(costs.head[0].layout, TENON_LAYOUT_Q8M32);
  EXPECT_DOUBLE_EQ(costs.head[0].values, vocabulary * 96);
  EXPECT_DOUBLE_EQ(costs.head[0].bytes, vocabulary * 96 * 34 / 32);
  EXPECT_DOUBLE_EQ(costs.head[0].file_bytes, costs.head[0].bytes);  // of Q8_0 nothing changes
  ASSERT_EQ(costs.body.size(), 3u);
  EXPECT_DOUBLE_EQ(values_of(costs.body, true), kFloats);
  EXPECT_DOUBLE_EQ(values_of(costs.body, false), kEights + kFours);
  // Halves are floats to the contract, but a kernel may read them as the file has them.
  EXPECT_DOUBLE_EQ(bytes_of(costs.body), 2 * kFloats + kEights * 34 / 32 + kFours * 20 / 32);
  double file = 0;
  for (const WeightCost& weight : costs.body) file += weight.file_bytes;
  EXPECT_DOUBLE_EQ(file, bytes_of(costs.body));
}

TEST(ModelCosts, AreThoseOfTheFile) {
  const auto engine = load_engine({}, TinyModel().save("costs"));
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  expect_tiny_costs(**engine);
}

TEST(ModelCosts, AKeptTokenIsReadUnlessItHasLeftTheWindow) {
  const KvPoolSize all{0, 6400, 10}, window{100, 640, 10};
  EXPECT_DOUBLE_EQ(kv_bytes_read(std::span(&all, 1), 1000), 100 * 1000);
  const KvPoolSize both[] = {all, window};
  EXPECT_DOUBLE_EQ(kv_bytes_read(both, 50), 110 * 50);
  EXPECT_DOUBLE_EQ(kv_bytes_read(both, 1000), 100 * 1000 + 10 * 100);
}

}  // namespace
}  // namespace tenon
