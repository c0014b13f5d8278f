// Several ranks make one model: what they compute together is what one computes, within the split's
// rounding; and a rank that fails ends the step for all.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "core/runtime/rank_group.h"
#include "tenon/sdk/tables.hpp"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

struct Split {
  TinyModel::Family family;
  int ranks;
};
const std::vector<Split> kSplits = {
    {TinyModel::Family::kLlama, 3}, {TinyModel::Family::kGemma, 2}, {TinyModel::Family::kGemma, 4}};

std::string model_of(TinyModel::Family family) {
  return TinyModel(1, family).save(family == TinyModel::Family::kLlama ? "ranks-llama"
                                                                       : "ranks-gemma");
}

RequestSpec prompt_of(std::size_t length, std::int32_t max_tokens) {
  std::mt19937 random(static_cast<std::uint32_t>(length));
  RequestSpec spec;
  for (std::size_t i = 0; i < length; ++i)
    spec.prompt.push_back(static_cast<std::int32_t>(random() % 250));
  spec.max_tokens = max_tokens;
  spec.ignore_eos = true;
  return spec;
}

// The residual stream behind every block, as doubles, by port.
std::map<std::string, std::vector<double>> stream_of(LoadedEngine& engine, std::size_t length,
                                                     const std::string& adapter = "") {
  std::map<std::string, std::vector<double>> out;
  engine.observe_ports([&out](const std::string& port, const Tensor& tensor, const void* data) {
    const auto n = static_cast<std::size_t>(tensor.shape[0] * tensor.shape[1]);
    const auto* values = static_cast<const double*>(data);
    out[port].insert(out[port].end(), values, values + n);
  });
  Answer answer;
  RequestSpec spec = prompt_of(length, 2);
  spec.adapter = adapter;
  const auto id = submit_into(engine, std::move(spec), answer);
  EXPECT_TRUE(id.ok()) << id.error().to_string();
  const Status ran = engine.engine().run();
  EXPECT_TRUE(ran.ok()) << ran.error().to_string();
  EXPECT_EQ(answer.tokens.size(), 2u);
  return out;
}

// `got` equals `want` to 1e-9 of the largest value, port by port.
void expect_same_stream(const std::map<std::string, std::vector<double>>& want,
                        const std::map<std::string, std::vector<double>>& got,
                        const std::string& what) {
  ASSERT_EQ(want.size(), got.size());
  ASSERT_FALSE(want.empty());
  for (const auto& [port, values] : want) {
    const std::vector<double>& other = got.at(port);
    ASSERT_EQ(values.size(), other.size());
    double most = 0, worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      most = std::max(most, std::abs(values[i]));
      worst = std::max(worst, std::abs(values[i] - other[i]));
    }
    EXPECT_LE(worst / most, 1e-9) << port << ", " << what;
  }
}

// Factors are cut as the sites are: rows of B with outputs, columns of A with inputs.
TEST(Ranks, AnAdapterIsCutAsItsSitesAre) {
  const std::string path = model_of(TinyModel::Family::kLlama);
  auto one = load_engine({.backend = "exact", .adapters = true}, path);
  auto many = load_engine({.backend = "exact", .ranks = 3, .adapters = true}, path);
  ASSERT_TRUE(one.ok() && many.ok());
  const TinyAdapter adapter(3, TinyAdapter::llama_modules(), 8);
  const std::string folder = adapter.save("ranks");
  for (LoadedEngine* engine : {one->get(), many->get()}) {
    const auto loaded = engine->adapters()->load("a", folder);
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
  }
  const auto base = stream_of(**one, 100), want = stream_of(**one, 100, "a");
  expect_same_stream(want, stream_of(**many, 100, "a"), "with an adapter");
  EXPECT_NE(base.begin()->second, want.begin()->second);  // it does change something
}

TEST(Ranks, OnTheExactReferenceTheyEqualOneTo1e9) {
  for (const Split& split : kSplits) {
    auto one = load_engine({.backend = "exact"}, model_of(split.family));
    auto many = load_engine({.backend = "exact", .ranks = split.ranks}, model_of(split.family));
    ASSERT_TRUE(one.ok() && many.ok()) << many.error().to_string();
    expect_same_stream(stream_of(**one, 150), stream_of(**many, 150),
                       std::to_string(split.ranks) + " ranks");
  }
}

// All log-probabilities of every prompt token's distribution.
std::vector<std::vector<double>> distributions(LoadedEngine& engine, std::size_t length) {
  std::vector<std::vector<double>> out;
  RequestSpec spec = prompt_of(length, 0);
  spec.prompt_logprobs = true;
  spec.n_top = engine.model().decoder.vocabulary;
  spec.on_event = [&](const TokenEvent& event) {
    if (!event.prompt) return;
    auto& row = out.emplace_back(static_cast<std::size_t>(spec.n_top));
    for (const TokenLogprob& top : event.top)
      row[static_cast<std::size_t>(top.token)] = double{top.logprob};
  };
  EXPECT_TRUE(engine.engine().submit(spec).ok());
  const Status ran = engine.engine().run();
  EXPECT_TRUE(ran.ok()) << ran.error().to_string();
  return out;
}

TEST(Ranks, OnTheCpuTheyEqualOneWithinTheQuantisedBound) {
  for (const Split& split : kSplits) {
    auto one = load_engine({}, model_of(split.family));
    auto many = load_engine({.ranks = split.ranks}, model_of(split.family));
    ASSERT_TRUE(one.ok() && many.ok());
    const auto p = distributions(**one, 150), q = distributions(**many, 150);
    ASSERT_EQ(p.size(), 149u);
    ASSERT_EQ(q.size(), p.size());
    double kl = 0;
    for (std::size_t i = 0; i < p.size(); ++i)
      for (std::size_t t = 0; t < p[i].size(); ++t)
        kl += std::exp(p[i][t]) * (p[i][t] - q[i][t]) / static_cast<double>(p.size());
    EXPECT_LE(kl, 1e-3) << split.ranks << " ranks";
  }
}

// For a given split the contract holds in full.
TEST(Ranks, BitsOfASplitDependOnNothingElse) {
  for (const Split& split : kSplits) {
    const std::string path = model_of(split.family);
    auto contract = load_engine({.backend = "contract", .ranks = split.ranks}, path);
    ASSERT_TRUE(contract.ok());
    std::vector<Answer> expected(3);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(submit_into(**contract, prompt_of(60 + 70 * i, 6), expected[i]).ok());
      ASSERT_TRUE((*contract)->engine().run().ok());
    }
    for (const char* engine :
         {"threads: 1 kv_pages: 40", "threads: 8 stripes_per_thread: 3 kv_pages: 9"})
      for (const char* chunk : {"0", "33"}) {
        auto cpu = load_engine(
            {.scheduler_params = std::string("param { key: \"prefill_chunk\" i: ") + chunk + " }",
             .engine = std::string(engine) + " poison_free_pages: true",
             .ranks = split.ranks},
            path);
        ASSERT_TRUE(cpu.ok()) << cpu.error().to_string();
        for (int round = 0; round < 2; ++round) {  // a cold and a warm cache
          std::vector<Answer> got(expected.size());
          for (std::size_t i = 0; i < got.size(); ++i)
            ASSERT_TRUE(submit_into(**cpu, prompt_of(60 + 70 * i, 6), got[i]).ok());
          const Status ran = (*cpu)->engine().run();
          ASSERT_TRUE(ran.ok()) << ran.error().to_string();
          EXPECT_EQ(got, expected) << split.ranks << " ranks, " << engine << ", chunk " << chunk;
        }
      }
  }
}

TEST(Ranks, ARankThatFailsEndsTheStepForAllAndTheNextOneRuns) {
  const std::string path = model_of(TinyModel::Family::kGemma);
  std::string text = manifest_text({.ranks = 2});
  const std::string name = "tenon.parallelism.tp\"";
  text.replace(text.find(name), name.size(),
               "tenon.parallelism.failing\" library { path: \"" TENON_BINARY_DIR
               "/fixtures/plugins/tp_failing.so\" }");
  const auto manifest = parse_manifest(text, "test.textproto");
  ASSERT_TRUE(manifest.ok()) << manifest.error().to_string();
  PluginCatalog catalog;
  ASSERT_TRUE(add_builtin_plugins(catalog).ok());
  ASSERT_TRUE(catalog.add_directory(TENON_BINARY_DIR "/plugins").ok());
  auto engine = LoadedEngine::load(*manifest, catalog, path, {.check_boundary = true});
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  Answer answer;
  ASSERT_TRUE(submit_into(**engine, prompt_of(90, 4), answer).ok());
  const auto failed = (*engine)->engine().step();
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("rank 1: "), std::string::npos);
  EXPECT_NE(failed.error().message.find("the seventh sum"), std::string::npos);
  const Status ran = (*engine)->engine().run();
  ASSERT_TRUE(ran.ok()) << ran.error().to_string();

  auto whole = load_engine({.ranks = 2}, path);
  ASSERT_TRUE(whole.ok());
  Answer expected;
  ASSERT_TRUE(submit_into(**whole, prompt_of(90, 4), expected).ok());
  ASSERT_TRUE((*whole)->engine().run().ok());
  EXPECT_EQ(answer, expected);
}

TEST(Ranks, ACountThatDoesNotDivideTheHeadsIsRefusedWithThoseThatDo) {
  const auto engine = load_engine({.ranks = 2}, model_of(TinyModel::Family::kLlama));
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.error().message.find("rank counts that work: 1, 3"), std::string::npos)
      << engine.error().to_string();
}

// Says that the plans differ.
struct Disagreeing {
  int reset_ = 0;
  sdk::Status attach(std::uint32_t, std::uint32_t, const tenon_host*) { return {}; }
  sdk::Status all_reduce(std::uint32_t, const tenon_view*, const tenon_view*) { return {}; }
  sdk::Status agree(std::uint32_t, std::uint64_t, std::int32_t* equal) {
    *equal = 0;
    return {};
  }
  sdk::Status check(std::uint32_t) { return {}; }
  void fail() {}
  void reset() { ++reset_; }
};

TEST(Ranks, RanksWithDifferentPlansDoNotRun) {
  Disagreeing disagreeing;
  const iface::Comm comm(&sdk::CommTable<Disagreeing>::table,
                         reinterpret_cast<tenon_instance*>(&disagreeing), nullptr);
  RankGroup group({nullptr, nullptr}, &comm);
  const auto result = group.run({});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().id, "TENON-R071");
  EXPECT_EQ(disagreeing.reset_, 1);
}

TEST(Ranks, APlansHashIsThatOfRequestsRangesAndTokens) {
  Request a, b;
  a.id = 1;
  b.id = 2;
  a.tokens = b.tokens = {5, 6, 7, 8};
  const auto hash = [](std::vector<BatchItem> items) { return plan_hash(items); };
  EXPECT_EQ(hash({{&a, 0, 3}}), hash({{&a, 0, 3}}));
  EXPECT_NE(hash({{&a, 0, 3}}), hash({{&a, 0, 4}}));
  EXPECT_NE(hash({{&a, 0, 3}}), hash({{&b, 0, 3}}));
  EXPECT_NE(hash({{&a, 0, 3}, {&b, 0, 1}}), hash({{&b, 0, 1}, {&a, 0, 3}}));
  const std::uint64_t before = hash({{&a, 0, 3}});
  a.tokens[2] = 9;
  EXPECT_NE(hash({{&a, 0, 3}}), before);
}

}  // namespace
}  // namespace tenon
