// The promise of the numbers contract, as memcmp: what a request gets does not depend on who runs
// beside it, how its prompt is cut, whether its prefix is cached, how many threads and stripes
// compute it, what free pages hold, nor on which backend of the contract computes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

// Requests whose prompts share beginnings, of lengths around page boundaries; greedy, sampled,
// penalised and scored ones.
std::vector<RequestSpec> make_requests() {
  std::mt19937 random(42);
  std::vector<std::vector<std::int32_t>> stems(3);
  for (auto& stem : stems)
    for (int i = 0; i < 300; ++i) stem.push_back(static_cast<std::int32_t>(random() % 250));
  std::vector<RequestSpec> out;
  for (const std::size_t length :
       {1, 2, 17, 63, 64, 65, 100, 127, 128, 129, 150, 192, 200, 256, 290}) {
    RequestSpec spec;
    const auto& stem = stems[out.size() % stems.size()];
    spec.prompt.assign(stem.begin(), stem.begin() + static_cast<std::ptrdiff_t>(length));
    spec.max_tokens = 3 + static_cast<std::int32_t>(random() % 9);
    spec.ignore_eos = true;
    if (out.size() % 3 == 1)
      spec.sampling = {.temperature = 0.9, .top_k = 40, .top_p = 0.9, .seed = random()};
    if (out.size() % 5 == 2)
      spec.sampling = {.temperature = 1.1,
                       .repetition_penalty = 1.2,
                       .frequency_penalty = 0.3,
                       .seed = random()};
    if (out.size() % 4 == 3) spec.prompt_logprobs = true;
    out.push_back(std::move(spec));
  }
  return out;
}

std::vector<Answer> alone(LoadedEngine& engine, const std::vector<RequestSpec>& requests) {
  std::vector<Answer> answers(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_TRUE(submit_into(engine, requests[i], answers[i]).ok());
    EXPECT_TRUE(engine.engine().run().ok());
  }
  return answers;
}

const char* const kSchedulers[] = {"tenon.scheduler.fcfs", "tenon.scheduler.sarathi",
                                   "tenon.scheduler.sarathi-serve"};

std::string number(const std::string& key, std::int64_t value) {
  return "param { key: \"" + key + "\" i: " + std::to_string(value) + " } ";
}

// Any of them, with any chunks and budgets.
void choose_scheduler(EngineChoice& choice, std::mt19937& random) {
  const auto pick = [&](std::initializer_list<int> from) {
    return *(from.begin() + random() % from.size());
  };
  const std::size_t which = random() % 3;
  choice.scheduler = kSchedulers[which];
  choice.scheduler_params = number("max_sequences", pick({1, 3, 8}));
  if (which == 0) {
    choice.scheduler_params += number("prefill_chunk", pick({0, 0, 1, 5, 64, 100})) +
                               number("max_batch_tokens", pick({1, 100, 2048}));
  } else if (which == 1) {
    choice.scheduler_params +=
        number("chunk_size", pick({1, 5, 32, 64, 100})) + number("tile", pick({0, 0, 8, 32})) +
        "param { key: \"last_chunk\" s: \"" + (random() % 2 == 0 ? "short" : "fill") + "\" } " +
        "param { key: \"whole_when_alone\" b: " + (random() % 2 == 0 ? "true" : "false") + " } ";
  } else {
    const int budget = pick({1, 2, 7, 64, 100});
    choice.scheduler_params += number("token_budget", budget) +
                               number("last_budget", std::min(budget, pick({0, 0, 5, 32}))) +
                               number("budget_prompt", 128);
  }
}

EngineChoice random_choice(std::mt19937& random) {
  const auto pick = [&](std::initializer_list<int> from) {
    return std::to_string(*(from.begin() + random() % from.size()));
  };
  EngineChoice choice;
  choice.engine = "threads: " + pick({1, 2, 3}) + " stripes_per_thread: " + pick({1, 2, 3, 7}) +
                  " kv_pages: " + pick({8, 12, 40}) + " poison_free_pages: true";
  choose_scheduler(choice, random);
  choice.prefix_caches = static_cast<int>(random() % 4);
  return choice;
}

// Submits a random handful at random moments and compares every answer.
void run_mix(LoadedEngine& engine, const std::vector<RequestSpec>& requests,
             const std::vector<Answer>& expected, std::mt19937& random, const std::string& what) {
  std::vector<std::size_t> picked(1 + random() % 8);
  for (std::size_t& index : picked) index = random() % requests.size();
  std::vector<Answer> got(picked.size());
  for (std::size_t i = 0; i < picked.size(); ++i) {
    ASSERT_TRUE(submit_into(engine, requests[picked[i]], got[i]).ok());
    for (std::uint32_t steps = random() % 4; steps > 0; --steps) {
      const auto more = engine.engine().step();
      ASSERT_TRUE(more.ok()) << more.error().to_string() << "\n" << what;
    }
  }
  const Status status = engine.engine().run();
  ASSERT_TRUE(status.ok()) << status.error().to_string() << "\n" << what;
  for (std::size_t i = 0; i < picked.size(); ++i)
    ASSERT_EQ(got[i], expected[picked[i]]) << "request " << picked[i] << "\n" << what;
}

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
  const char* wanted = std::getenv("TENON_MIXES");
  const long mixes = wanted != nullptr ? std::atol(wanted) : 1000;
  std::mt19937 random(7);
  std::unique_ptr<LoadedEngine> engine;
  std::string what;
  for (long mix = 0; mix < mixes && !testing::Test::HasFatalFailure(); ++mix) {
    if (mix % 20 == 0) {  // a new engine: a cold cache and other numbers
      const EngineChoice choice = random_choice(random);
      what = manifest_text(choice);
      auto loaded = load_engine(choice, path);
      ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
      engine = std::move(*loaded);
    }
    run_mix(*engine, requests, expected, random, what);
  }
}

}  // namespace
}  // namespace tenon
