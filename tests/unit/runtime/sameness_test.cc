// The promise of the numbers contract, as memcmp: what a request gets does not depend on who runs
// beside it, how its prompt is cut, whether its prefix is cached, how many threads and stripes
// compute it, what free pages hold, nor on which backend of the contract computes it.
#include <gtest/gtest.h>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/mixes.h"

namespace tenon {
namespace {

// Both shapes of tiny model: full attention, and windows in five layers of six.
class Sameness : public testing::TestWithParam<TinyModel::Family> {
 protected:
  static std::string model() {
    const bool llama = GetParam() == TinyModel::Family::kLlama;
    return TinyModel(1, GetParam()).save(llama ? "sameness-llama" : "sameness-gemma");
  }
};
INSTANTIATE_TEST_SUITE_P(, Sameness,
                         testing::Values(TinyModel::Family::kLlama, TinyModel::Family::kGemma),
                         [](const auto& info) {
                           return info.param == TinyModel::Family::kLlama ? "Llama" : "Gemma";
                         });

TEST_P(Sameness, CpuEqualsTheContractReference) {
  const std::string path = model();
  const std::vector<RequestSpec> requests = make_requests();
  const auto reference = load_engine({.backend = "contract"}, path);
  const auto cpu = load_engine({}, path);
  ASSERT_TRUE(reference.ok() && cpu.ok());
  const std::vector<Answer> expected = alone(**reference, requests), got = alone(**cpu, requests);
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(got[i], expected[i]) << "request " << i;
}

// T1.1: the cuts of a prompt change no bit, wherever they fall.
TEST_P(Sameness, T1_1_AnyChunkOfAnySchedulerGivesTheSameBits) {
  const std::string path = model();
  const std::vector<RequestSpec> requests = make_requests();
  auto whole = load_engine({.prefix_caches = 0}, path);
  ASSERT_TRUE(whole.ok());
  const std::vector<Answer> expected = alone(**whole, requests);
  const std::pair<const char*, const char*> cuts[] = {
      {"tenon.scheduler.fcfs", "prefill_chunk"},
      {"tenon.scheduler.sarathi", "chunk_size"},
      {"tenon.scheduler.sarathi-serve", "token_budget"}};
  for (const auto& [scheduler, key] : cuts)
    for (const std::int64_t chunk : {1, 3, 16, 63, 64, 65, 128}) {
      auto engine = load_engine(
          {.scheduler = scheduler, .scheduler_params = number(key, chunk), .prefix_caches = 0},
          path);
      ASSERT_TRUE(engine.ok()) << engine.error().to_string();
      std::vector<Answer> got(requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i)
        ASSERT_TRUE(submit_into(**engine, requests[i], got[i]).ok());
      ASSERT_TRUE((*engine)->engine().run().ok());
      for (std::size_t i = 0; i < requests.size(); ++i)
        ASSERT_EQ(got[i], expected[i]) << "request " << i << ", " << scheduler << ", " << chunk;
    }
}

// T2.5: who gives up its pages and comes back goes on with the same bits. SARATHI's slots are never
// taken back.
TEST_P(Sameness, T2_5_PreemptedAndResumedGivesTheSameBits) {
  const std::string path = model();
  std::vector<RequestSpec> requests(4);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt.assign(60, static_cast<std::int32_t>(i) + 1);
    requests[i].max_tokens = 100;
    requests[i].ignore_eos = true;
    if (i % 2 == 1) requests[i].sampling = {.temperature = 0.9, .top_p = 0.95, .seed = i};
  }
  auto roomy = load_engine({.prefix_caches = 0}, path);
  ASSERT_TRUE(roomy.ok());
  const std::vector<Answer> expected = alone(**roomy, requests);
  for (const char* scheduler : {"tenon.scheduler.fcfs", "tenon.scheduler.sarathi-serve"})
    for (const int caches : {0, 1}) {
      auto tight = load_engine({.scheduler = scheduler,
                                .engine = "threads: 2 kv_pages: 6 poison_free_pages: true",
                                .prefix_caches = caches},
                               path);
      ASSERT_TRUE(tight.ok()) << tight.error().to_string();
      std::vector<Answer> got(requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i)
        ASSERT_TRUE(submit_into(**tight, requests[i], got[i]).ok());
      const Status status = (*tight)->engine().run();
      ASSERT_TRUE(status.ok()) << status.error().to_string();
      EXPECT_GT((*tight)->engine().stats().preemptions, 0u) << scheduler;
      for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(got[i], expected[i]) << scheduler;
    }
}

// TENON_MIXES overrides how many mixes are run.
TEST_P(Sameness, AThousandRandomMixes) {
  const std::string path = model();
  const std::vector<RequestSpec> requests = make_requests();
  auto baseline = load_engine({.engine = "threads: 1 kv_pages: 40", .prefix_caches = 0}, path);
  ASSERT_TRUE(baseline.ok()) << baseline.error().to_string();
  const std::vector<Answer> expected = alone(**baseline, requests);
  run_mixes(path, {.kv_pages = {8, 12, 40}}, requests, expected, wanted_mixes(1000));
}

}  // namespace
}  // namespace tenon
