// The real model through the binary. Fetches it (98 MB) when it is not in the user's cache; without
// a network there is nothing to test.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"

namespace tenon::app {
namespace {

using nlohmann::json;

class RealModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const ChildResult pull = tenon({"model", "pull", "smollm2-135m-instruct"});
    if (pull.exit_code == 0) return;
    const bool no_network = pull.output.find("TENON-A014") != std::string::npos;
    ASSERT_TRUE(no_network) << pull.output;
    missing_ = pull.output;
  }
  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << missing_;
  }

  static ChildResult tenon(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TENON_BINARY_DIR "/bin/tenon");
    auto result = run_child({.argv = arguments});
    EXPECT_TRUE(result.ok());
    return result.ok() ? *result : ChildResult{};
  }
  // What a command with --json prints.
  static json object(const std::vector<std::string>& arguments) {
    const ChildResult result = tenon(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return json::parse(result.output, nullptr, false);
  }
  static json answer(std::vector<std::string> more) {
    const std::vector<std::string> common = {"run", "--raw", "--json", "--temperature",
                                             "0",   "-n",    "24",     "The capital of France is"};
    more.insert(more.begin(), common.begin(), common.end());
    return object(more);
  }
  inline static std::string missing_;
};

TEST_F(RealModel, AnswersAndSaysHow) {
  const json out = answer({});
  EXPECT_NE(out["text"].get<std::string>().find("Paris"), std::string::npos) << out["text"];
  EXPECT_EQ(out["prompt_tokens"], 5);
  EXPECT_LE(out["tokens"].size(), 24u);
  // The template adds the roles and the default system message.
  EXPECT_GT(object({"run", "--json", "-n", "1", "Hello"})["prompt_tokens"], 20);
}

// Prompts that are answered together get what each gets alone.
TEST_F(RealModel, AnswersAFileOfPromptsInOneBatch) {
  const std::string path = testing::TempDir() + "tenon-prompts.txt";
  std::ofstream(path) << "The capital of France is\n\nOnce upon a time\nThe capital of France is\n";
  const json all =
      object({"run", "--raw", "--json", "--temperature", "0", "-n", "24", "--prompts", path});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["tokens"], answer({})["tokens"]);
  EXPECT_EQ(all[2]["tokens"], all[0]["tokens"]);
  EXPECT_EQ(all[1]["prompt"], "Once upon a time");
}

TEST_F(RealModel, ALogitBiasForcesAToken) {
  EXPECT_EQ(answer({"--logit-bias", "28=1000"})["tokens"][0]["id"], 28);
  EXPECT_NE(tenon({"run", "--raw", "--logit-bias", "28", "x"}).output.find("TENON-A034"),
            std::string::npos);
}

TEST_F(RealModel, BitsDoNotDependOnThreadsOrBackend) {
  const json expected = answer({"--threads", "1"})["tokens"];
  EXPECT_EQ(answer({"--threads", "3"})["tokens"], expected);
  EXPECT_EQ(answer({"--backend", "tenon.backend.reference"})["tokens"], expected);
}

TEST_F(RealModel, TheSameSeedGivesTheSameAnswer) {
  const std::vector<std::string> base = {"run", "--json", "--temperature", "1", "-n", "12"};
  const auto with_seed = [&](const std::string& seed) {
    std::vector<std::string> all = base;
    all.insert(all.end(), {"--seed", seed, "Tell me a story."});
    return object(all)["tokens"];
  };
  EXPECT_EQ(with_seed("5"), with_seed("5"));
  EXPECT_NE(with_seed("5"), with_seed("6"));
}

TEST_F(RealModel, ReplaysATraceOnTwoArms) {
  const std::string manifests = TENON_SOURCE_DIR "/apps/manifests/";
  const json out =
      object({"replay-trace", "--generate", "--count", "4", "--rate", "20", "--prompt", "100",
              "--answer", "6", "--json", "--manifest", manifests + "sarathi.textproto",
              "--manifest", manifests + "sarathi-serve.textproto"});
  ASSERT_EQ(out["arms"].size(), 2u);
  EXPECT_EQ(out["arms"][1]["scheduler"], "tenon.scheduler.sarathi-serve");
  for (const json& arm : out["arms"]) {
    ASSERT_EQ(arm["rounds"].size(), 1u);
    for (const json& round : arm["rounds"]) {
      EXPECT_EQ(round["finished"], 4);
      EXPECT_EQ(round["prefix_hit_tokens"], 0);
      EXPECT_GT(round["ttft_s.p50"], 0);
      EXPECT_LE(round["ttft_s.max"], round["e2e_s.max"]);
    }
  }
}

TEST_F(RealModel, StopTextIsNotPartOfTheAnswer) {
  const json all = answer({});
  const json cut = answer({"--stop", "Paris"});
  EXPECT_EQ(cut["finish"], "stop");
  EXPECT_EQ(cut["text"].get<std::string>().find("Paris"), std::string::npos);
  EXPECT_EQ(all["text"].get<std::string>().find(cut["text"].get<std::string>()), 0u);
}

// Log-probabilities of an independent implementation in double precision with unrounded
// activations.
TEST_F(RealModel, ScoresAsAnIndependentImplementationDoes) {
  const json out = object({"score", "--json", "--tokens", "--text",
                           "The quick brown fox jumps over the lazy dog. The capital of France is "
                           "Paris."});
  const std::vector<double> expected = {
      -14.308911, -6.276499, -1.415895, -7.041961, -0.005016, -2.695926, -2.475870, -0.111745,
      -1.773099,  -2.915636, -9.311209, -0.731226, -2.350204, -0.525623, -0.116106, -0.353188};
  ASSERT_EQ(out["list"].size(), expected.size() + 1);
  EXPECT_TRUE(out["list"][0]["logprob"].is_null());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(out["list"][i + 1]["logprob"].get<double>(), expected[i], 0.5) << i;
  EXPECT_NEAR(out["logprob"].get<double>(), -52.405, 1.5);
}

TEST_F(RealModel, WindowsAreScoredByThemselves) {
  const std::string text = "One two three four. One two three four.";
  const json whole = object({"score", "--json", "--tokens", "--text", text});
  const json cut = object({"score", "--json", "--tokens", "--window", "5", "--text", text});
  EXPECT_EQ(cut["windows"], 2);
  for (int i = 1; i < 5; ++i) EXPECT_EQ(cut["list"][i], whole["list"][i]);
  EXPECT_TRUE(cut["list"][5]["logprob"].is_null());
}

TEST_F(RealModel, BenchEndsWithItsRates) {
  const ChildResult result =
      tenon({"bench", "--prompt", "16", "--gen", "4", "--depth", "64", "--batch", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const std::string last = result.output.substr(result.output.find('{'));
  const json rates = json::parse(last, nullptr, false);
  EXPECT_GT(rates["prefill_tps"], 0);
  EXPECT_GT(rates["decode_tps"], 0);
}

}  // namespace
}  // namespace tenon::app
