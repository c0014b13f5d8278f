#include "core/runtime/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

const std::string& model_path() {
  static const std::string path = TinyModel().save("engine");
  return path;
}

std::unique_ptr<LoadedEngine> engine_of(const EngineChoice& choice) {
  auto engine = load_engine(choice, model_path());
  if (!engine.ok()) ADD_FAILURE() << engine.error().to_string();
  return engine.ok() ? std::move(*engine) : nullptr;
}

std::vector<std::int32_t> prompt_of(std::size_t tokens, std::int32_t first = 1) {
  std::vector<std::int32_t> out(tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    out[i] = (first + static_cast<std::int32_t>(i * 7)) % 250;
  return out;
}

RequestSpec request(std::size_t prompt, std::int32_t max_tokens, std::int32_t first = 1) {
  RequestSpec spec;
  spec.prompt = prompt_of(prompt, first);
  spec.max_tokens = max_tokens;
  spec.ignore_eos = true;
  return spec;
}

Answer run_alone(LoadedEngine& engine, RequestSpec spec) {
  Answer answer;
  const auto id = submit_into(engine, std::move(spec), answer);
  EXPECT_TRUE(id.ok()) << id.error().to_string();
  const Status status = engine.engine().run();
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(engine.engine().live(), 0u);
  return answer;
}

std::string refusal(LoadedEngine& engine, RequestSpec spec) {
  const auto id = engine.engine().submit(std::move(spec));
  return id.ok() ? "" : id.error().id;
}

TEST(Engine, RefusesByName) {
  const auto engine = engine_of({.engine = "threads: 1 kv_pages: 4 context: 512"});
  EXPECT_EQ(refusal(*engine, {}), "TENON-R034");
  EXPECT_EQ(refusal(*engine, request(512, 1)), "TENON-R030");
  EXPECT_EQ(refusal(*engine, request(250, 10)), "TENON-R031");
  RequestSpec outside = request(3, 1);
  outside.prompt[1] = 100000;
  EXPECT_EQ(refusal(*engine, outside), "TENON-R035");
  const auto with = [](auto&& change) {
    RequestSpec spec = request(3, 1);
    change(spec.sampling);
    return spec;
  };
  EXPECT_EQ(refusal(*engine, with([](SamplingParams& s) { s.temperature = -1; })), "TENON-R036");
  EXPECT_EQ(refusal(*engine, with([](SamplingParams& s) { s.top_p = 1.5; })), "TENON-R036");
  EXPECT_EQ(refusal(*engine, with([](SamplingParams& s) { s.temperature = std::nan(""); })),
            "TENON-R036");
  EXPECT_EQ(refusal(*engine, with([](SamplingParams& s) {
              s.logit_bias = {{-1, 1.0}};
            })),
            "TENON-R036");
  EXPECT_EQ(engine->engine().live(), 0u);
}

TEST(Engine, ATopKOf64BitsIsNotCutIntoRange) {
  const auto engine = engine_of({});
  for (const std::int64_t top_k : {(std::int64_t{1} << 32) + 5, -(std::int64_t{1} << 32) + 5}) {
    RequestSpec spec = request(3, 1);
    ManifestSampling given;
    given.top_k = top_k;
    apply_sampling(given, spec);
    EXPECT_EQ(refusal(*engine, spec), "TENON-R036");
  }
}

TEST(Engine, EndsAtTheLimitAndCountsTokens) {
  const auto engine = engine_of({});
  const Answer answer = run_alone(*engine, request(10, 7));
  EXPECT_EQ(answer.tokens.size(), 7u);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_EQ(engine->engine().stats().generated_tokens, 7u);
  EXPECT_EQ(engine->engine().stats().rows, 10u + 6u);
}

TEST(Engine, EndsAtTheContext) {
  const auto engine = engine_of({.engine = "threads: 1 context: 64"});
  const Answer answer = run_alone(*engine, request(60, -1));
  EXPECT_EQ(answer.tokens.size(), 4u);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(Engine, AStopStringEndsTheAnswerBeforeIt) {
  const auto engine = engine_of({});
  const Answer whole = run_alone(*engine, request(20, 24));
  ASSERT_GT(whole.text.size(), 8u);
  RequestSpec spec = request(20, 24);
  spec.stop = {whole.text.substr(5, 3)};
  const Answer stopped = run_alone(*engine, spec);
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(spec.stop[0])));
}

TEST(Engine, ABiasForcesATokenAndEosEnds) {
  const auto engine = engine_of({});
  RequestSpec spec = request(5, 9);
  spec.sampling.logit_bias = {{257, 1000.0}};  // <|im_end|>
  spec.ignore_eos = false;
  const Answer answer = run_alone(*engine, spec);
  EXPECT_EQ(answer.tokens, std::vector<std::int32_t>{257});
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_EQ(answer.text, "");
  EXPECT_LT(answer.logprobs[0], -1.0f);  // of the model's own distribution, not of the biased one
}

TEST(Engine, PromptLogprobsAreThoseOfTheTokensWhenGenerated) {
  const auto engine = engine_of({});
  const Answer answer = run_alone(*engine, request(9, 12));
  RequestSpec scored = request(9, 0);
  scored.prompt.insert(scored.prompt.end(), answer.tokens.begin(), answer.tokens.end());
  scored.prompt_logprobs = true;
  const Answer scores = run_alone(*engine, scored);
  ASSERT_EQ(scores.prompt_logprobs.size(), 9u + 12u - 1u);
  EXPECT_EQ(std::vector<float>(scores.prompt_logprobs.begin() + 8, scores.prompt_logprobs.end()),
            answer.logprobs);
  EXPECT_TRUE(scores.tokens.empty());
  EXPECT_EQ(scores.finish, FinishReason::kLength);
}

TEST(Engine, AbortEndsARequestAndLeavesTheOthers) {
  const auto engine = engine_of({});
  Answer first, second;
  const auto a = submit_into(*engine, request(10, 50), first);
  const auto b = submit_into(*engine, request(12, 50, 3), second);
  ASSERT_TRUE(a.ok() && b.ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(engine->engine().step().ok());
  engine->engine().abort(*a);
  engine->engine().abort(12345);
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_EQ(first.finish, FinishReason::kAborted);
  EXPECT_LT(first.tokens.size(), 50u);
  EXPECT_EQ(second.tokens, run_alone(*engine, request(12, 50, 3)).tokens);
}

TEST(Engine, APrefixHitSparesTheSharedPages) {
  const auto engine = engine_of({});
  const Answer cold = run_alone(*engine, request(200, 5));
  EXPECT_EQ(engine->engine().stats().prefix_hit_tokens, 0u);
  EXPECT_EQ(run_alone(*engine, request(200, 5)), cold);
  EXPECT_EQ(engine->engine().stats().prefix_hit_tokens, 192u);
}

// Each request knows its own hit, also when several are live.
TEST(Engine, ARequestIsToldWhatACacheGaveIt) {
  const auto engine = engine_of({});
  run_alone(*engine, request(200, 5));
  std::vector<std::int32_t> cached(2, -1);
  for (const std::size_t i : {0u, 1u}) {
    RequestSpec spec = request(i == 0 ? 200 : 20, 3);
    spec.on_event = [&cached, i](const TokenEvent& event) {
      if (event.token >= 0) cached[i] = event.cached;
    };
    ASSERT_TRUE(engine->engine().submit(std::move(spec)).ok());
  }
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_EQ(cached, (std::vector<std::int32_t>{192, 0}));
}

// A prompt of whole pages that is cached to its end: the last token runs again, in a copy of its
// page.
TEST(Engine, AFullHitCopiesThePageThatItWrites) {
  const auto engine = engine_of({});
  const Answer cold = run_alone(*engine, request(128, 5));
  EXPECT_EQ(run_alone(*engine, request(128, 5)), cold);
  EXPECT_EQ(engine->engine().stats().prefix_hit_tokens, 127u);
  EXPECT_EQ(run_alone(*engine, request(128, 5)), cold);
}

TEST(Engine, ASaltKeepsCachesApart) {
  // Two engines cannot share pages; what is tested is that the salt reaches the keys at all: other
  // salt, other seed, same answer.
  const Answer a =
      run_alone(*engine_of({.engine = "threads: 1 cache_salt: \"a\""}), request(100, 3));
  EXPECT_EQ(a, run_alone(*engine_of({.engine = "threads: 1 cache_salt: \"b\""}), request(100, 3)));
}

TEST(Engine, PreemptionChangesNothing) {
  const auto roomy = engine_of({.engine = "threads: 2 kv_pages: 60", .prefix_caches = 0});
  const auto tight =
      engine_of({.engine = "threads: 2 kv_pages: 6 poison_free_pages: true", .prefix_caches = 0});
  std::vector<Answer> expected, got(4);
  for (std::int32_t i = 0; i < 4; ++i) expected.push_back(run_alone(*roomy, request(60, 100, i)));
  for (std::int32_t i = 0; i < 4; ++i)
    ASSERT_TRUE(submit_into(*tight, request(60, 100, i), got[static_cast<std::size_t>(i)]).ok());
  const Status status = tight->engine().run();
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_GT(tight->engine().stats().preemptions, 0u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(got[i], expected[i]);
}

TEST(Engine, SamplingIsReproducibleAndDependsOnTheSeed) {
  const auto engine = engine_of({});
  RequestSpec spec = request(10, 20);
  spec.sampling = {.temperature = 1.0, .top_k = 50, .top_p = 0.95, .min_p = 0.001, .seed = 7};
  const Answer first = run_alone(*engine, spec);
  EXPECT_EQ(run_alone(*engine, spec), first);
  spec.sampling.seed = 8;
  EXPECT_NE(run_alone(*engine, spec).tokens, first.tokens);
}

TEST(Engine, TopReportsTheMostLikelyTokens) {
  const auto engine = engine_of({});
  RequestSpec spec = request(10, 3);
  spec.n_top = 5;
  int events = 0;
  spec.on_event = [&](const TokenEvent& event) {
    ++events;
    ASSERT_EQ(event.top.size(), 5u);
    EXPECT_EQ(event.top[0].token, event.token);  // greedy
    EXPECT_EQ(event.top[0].logprob, event.logprob);
    for (int i = 1; i < 5; ++i) EXPECT_LE(event.top[i].logprob, event.top[i - 1].logprob);
  };
  ASSERT_TRUE(engine->engine().submit(spec).ok());
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_EQ(events, 3);
}

TEST(LoadedEngine, RefusesAModelThatLacksATensor) {
  const std::string path = TinyModel().save("renamed");
  std::string bytes = TinyModel().gguf();
  bytes.replace(bytes.find("blk.1.ffn_up"), 12, "blk.1.ffn_UP");
  std::ofstream(path, std::ios::binary) << bytes;
  const auto engine = load_engine({}, path);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().id, "TENON-F022") << engine.error().to_string();
}

TEST(LoadedEngine, RefusesAnUnknownArchitecture) {
  const std::string path = TinyModel().save("architecture");
  std::string bytes = TinyModel().gguf();
  const std::size_t at = bytes.find("llama", bytes.find("general.architecture"));
  bytes.replace(at, 5, "mamba");
  std::ofstream(path, std::ios::binary) << bytes;
  const auto engine = load_engine({}, path);
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.error().to_string().find("mamba"), std::string::npos)
      << engine.error().to_string();
}

TEST(LoadedEngine, RefusesALongChainOfCaches) {
  const auto engine = load_engine({.prefix_caches = 17}, model_path());
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().id, "TENON-R060");
}

TEST(LoadedEngine, RefusesABudgetBelowTwoPages) {
  const auto engine = load_engine({.engine = "threads: 1 kv_pages: 1"}, model_path());
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().id, "TENON-R057");
}

// A tiny model in which the 4 bytes behind a metadata key's type are another value.
template <class T>
std::string error_with(const std::string& key, T value, const std::string& engine = "threads: 1") {
  const std::string path = TinyModel().save("changed");
  std::string bytes = TinyModel().gguf();
  bytes.replace(bytes.find(key) + key.size() + 4, sizeof value,
                reinterpret_cast<const char*>(&value), sizeof value);
  std::ofstream(path, std::ios::binary) << bytes;
  const auto loaded = load_engine({.engine = engine}, path);
  return loaded.ok() ? "" : loaded.error().id + " " + loaded.error().to_string();
}

TEST(LoadedEngine, RefusesNumbersThatGiveNoNumbers) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  for (const float value : {nan, inf, -1.0f})
    EXPECT_TRUE(error_with("layer_norm_rms_epsilon", value).starts_with("TENON-R052")) << value;
  for (const float value : {nan, inf, -1.0f, 0.0f})
    EXPECT_TRUE(error_with("rope.freq_base", value).starts_with("TENON-R051")) << value;
}

TEST(LoadedEngine, APoolThatNoMemoryHoldsIsRefusedWithItsSize) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the process where the system's gives nothing";
#endif
  const auto engine = load_engine({.engine = "threads: 1 kv_pages: 2147483647"}, model_path());
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, Code::kResourceExhausted) << engine.error().to_string();
  EXPECT_NE(engine.error().found.find("2147483647 KV pages of"), std::string::npos)
      << engine.error().to_string();
  EXPECT_NE(engine.error().fix.find("engine.kv_pages"), std::string::npos);
}

TEST(Engine, AModelWithoutFiniteLogitsFailsTheStepByName) {
  const std::string path = TinyModel().save_without_finite_logits("infinite");
  for (const char* backend : {"tenon.backend.cpu", "contract", "exact"}) {
    const auto loaded = load_engine({.backend = backend}, path);
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
    RequestSpec spec = request(5, 3);
    spec.n_top = 3;
    ASSERT_TRUE((*loaded)->engine().submit(spec).ok());
    const auto step = (*loaded)->engine().step();
    ASSERT_FALSE(step.ok());
    EXPECT_EQ(step.error().id, "TENON-R042") << step.error().to_string();
  }
}

// One token's embedding is infinite: the step says whose request that was, and once it is aborted
// the other one goes on with the bits that it has alone.
TEST(Engine, AnActivationThatIsNoNumberIsNamedAndNotSpread) {
  TinyModel model;
  std::vector<float> change(300 * 96);
  change[100 * 96 + 5] = std::numeric_limits<float>::infinity();
  change.resize(SyntheticVocabulary().tokens.size() * 96);
  const std::string path = model.on_grid().change("token_embd.weight", change).save("infinity");
  for (const char* backend : {"tenon.backend.cpu", "contract", "exact"}) {
    const auto loaded = load_engine({.backend = backend}, path);
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
    Engine& engine = (*loaded)->engine();
    RequestSpec good = request(5, 3), bad = request(5, 3);
    good.prompt = {1, 2, 3};
    bad.prompt = {7, 8, 100, 9};
    Answer alone, together, none;
    ASSERT_TRUE(submit_into(**loaded, good, alone).ok());
    ASSERT_TRUE(engine.run().ok());
    ASSERT_TRUE(submit_into(**loaded, good, together).ok());
    const auto id = submit_into(**loaded, bad, none);
    ASSERT_TRUE(id.ok());
    const auto step = engine.step();
    ASSERT_FALSE(step.ok()) << backend;
    EXPECT_EQ(step.error().id, "TENON-R029") << step.error().to_string();
    EXPECT_NE(step.error().where.find("request " + std::to_string(*id) + ", position 2, "),
              std::string::npos)
        << step.error().where;
    EXPECT_NE(step.error().where.find("blk.0.attn_q.weight"), std::string::npos);
    engine.abort(*id);
    ASSERT_TRUE(engine.run().ok());
    EXPECT_EQ(together, alone);
    EXPECT_TRUE(none.tokens.empty());
  }
}

}  // namespace
}  // namespace tenon
