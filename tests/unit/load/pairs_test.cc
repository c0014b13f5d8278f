// Every plugin of the tree beside every other one in one engine: each scheduler with an adapter,
// ranks and a cache, on both backends, gives what the simplest scheduler gives. `tenon
// plugin matrix` runs them two by two; what more of them do together is seen here.
#include <gtest/gtest.h>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

std::vector<Answer> answers(const std::string& backend, const std::string& scheduler,
                            const std::string& model, const std::string& adapter) {
  const auto engine = load_engine(
      {.backend = backend, .scheduler = scheduler, .ranks = 3, .adapters = true}, model);
  EXPECT_TRUE(engine.ok()) << engine.error().to_string();
  if (!engine.ok()) return {};
  const auto loaded = (*engine)->adapters()->load("a", adapter);
  EXPECT_TRUE(loaded.ok()) << loaded.error().to_string();
  std::vector<Answer> out(6);
  for (int round = 0; round < 2; ++round) {  // the second one hits the cache
    for (std::size_t i = 0; i < 3; ++i) {
      RequestSpec spec = (*engine)->default_request();
      for (std::size_t t = 0; t < 70 + 40 * i; ++t)
        spec.prompt.push_back(static_cast<std::int32_t>((t * 37 + i) % 250));
      spec.max_tokens = 4;
      if (i != 1) spec.adapter = "a";
      EXPECT_TRUE(
          submit_into(**engine, std::move(spec), out[i + 3 * static_cast<std::size_t>(round)])
              .ok());
    }
    const Status ran = (*engine)->engine().run();
    EXPECT_TRUE(ran.ok()) << ran.error().to_string();
  }
  EXPECT_GT((*engine)->engine().stats().prefix_hit_tokens, 0u);
  return out;
}

class Pairs : public testing::TestWithParam<const char*> {};

TEST_P(Pairs, GiveWhatTheSimplestSchedulerGives) {
  const std::string model = TinyModel().save("pairs"),
                    adapter = TinyAdapter(1, TinyAdapter::llama_modules()).save("pairs");
  const std::vector<Answer> expected = answers(GetParam(), "tenon.scheduler.fcfs", model, adapter);
  for (const char* scheduler : {"tenon.scheduler.sarathi", "tenon.scheduler.sarathi-serve"})
    EXPECT_EQ(answers(GetParam(), scheduler, model, adapter), expected) << scheduler;
}

INSTANTIATE_TEST_SUITE_P(, Pairs, testing::Values("tenon.backend.cpu", "contract"),
                         [](const testing::TestParamInfo<const char*>& info) {
                           return std::string(info.param) == "contract" ? "contract" : "cpu";
                         });

}  // namespace
}  // namespace tenon
