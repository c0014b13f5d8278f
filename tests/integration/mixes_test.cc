// The numbers contract on a real model: every instruction set that the machine has, threads,
// stripes, cuts of prompts and caches, against one thread that computes each request alone.
#include <gtest/gtest.h>

#include "tests/fixtures/mixes.h"
#include "tests/integration/test_model.h"

namespace tenon {
namespace {

TEST(RealModel, AThousandRandomMixes) {
  const std::optional<std::string> path = test_model_path();
  if (!path) GTEST_SKIP() << kNoTestModel;
  const std::vector<RequestSpec> requests = make_requests({1, 2, 17, 63, 64, 65, 100, 130});
  auto baseline = load_engine({.backend_params = "param { key: \"isa\" s: \"avx2\" } ",
                               .engine = "threads: 1 kv_pages: 40",
                               .prefix_caches = 0},
                              *path);
  ASSERT_TRUE(baseline.ok()) << baseline.error().to_string();
  const std::vector<Answer> expected = alone(**baseline, requests);
  run_mixes(*path, {.kv_pages = {8, 40}, .instruction_sets = {"auto", "auto", "avx2"}}, requests,
            expected, wanted_mixes(1000));
}

}  // namespace
}  // namespace tenon
