// 64 positions of each real model against an implementation that shares nothing with this tree
// (golden.py). `exact` stands for the meaning of the model, `cpu` for what is served.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/fixtures/engines.h"
#include "tests/integration/numerics.h"
#include "tests/integration/numerics_golden.h"
#include "tests/integration/test_model.h"

namespace tenon {
namespace {

// What the 16 most likely tokens and the lump of all others say of KL(golden || ours): never more
// than the whole vocabulary would.
double lumped_kl(const GoldenPosition& golden, const Distribution& ours) {
  std::vector<float> p = {golden.rest}, q;
  double rest = 0;
  for (const float logprob : ours) rest += std::exp(double{logprob});
  for (const auto& [token, logprob] : golden.top) {
    p.push_back(logprob);
    q.push_back(ours[static_cast<std::size_t>(token)]);
    rest -= std::exp(double{q.back()});
  }
  q.insert(q.begin(), static_cast<float>(std::log(std::max(rest, 1e-30))));
  return kl_divergence(p, q);
}

struct Difference {
  Agreement agreement;
  double most_logprob = 0;  // of the token that is there and of the 16, in absolute terms
};

Difference compare(const Golden& golden, const std::vector<TextDistributions>& ours) {
  Difference out;
  for (const GoldenPosition& at : golden.positions) {
    const Distribution& d = ours[at.text][at.position - 1];
    out.agreement.add(lumped_kl(at, d), most_likely(d) == at.top[0].first);
    const std::int32_t next = golden.texts[at.text][at.position];
    const auto differ = [&](std::int32_t token, float logprob) {
      out.most_logprob = std::max(out.most_logprob,
                                  std::abs(double{d[static_cast<std::size_t>(token)]} - logprob));
    };
    differ(next, at.next);
    for (const auto& [token, logprob] : at.top) differ(token, logprob);
  }
  std::printf("mean KL %.3g, most %.3g; log-probability off by at most %.3g; top-1 %zu of %zu\n",
              out.agreement.mean_kl(), out.agreement.kl_most, out.most_logprob,
              out.agreement.same_top, out.agreement.positions);
  return out;
}

// Bounds are what was measured, and a margin: both ends of each comparison are deterministic.
struct RealModel {
  const char* name;  // of its golden file
  std::optional<std::string> (*path)();
  const char* missing;
  double cpu_kl, cpu_logprob, cpu_top1;
  std::vector<int> ranks;  // that share it
};
void PrintTo(const RealModel& model, std::ostream* out) { *out << model.name; }

class GoldenTest : public testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    const std::optional<std::string> path = GetParam().path();
    if (!path) GTEST_SKIP() << GetParam().missing;
    path_ = *path;
    golden_ = read_numerics_golden(GetParam().name);
    ASSERT_EQ(golden_.positions.size(), 64u);
  }

  std::vector<TextDistributions> score_with(const char* backend, int ranks = 1) {
    auto engine = load_engine({.backend = backend, .ranks = ranks}, path_);
    if (!engine.ok()) return ADD_FAILURE() << engine.error().to_string(), Texts{};
    auto scored = score(**engine, golden_.texts);
    if (!scored.ok()) return ADD_FAILURE() << scored.error().to_string(), Texts{};
    return std::move(scored).value();
  }

  using Texts = std::vector<TextDistributions>;
  std::string path_;
  Golden golden_;
};

INSTANTIATE_TEST_SUITE_P(
    , GoldenTest,
    testing::Values(RealModel{"smollm2", &test_model_path, kNoTestModel, 4e-3, 0.6, 0.98, {3}},
                    RealModel{"gemma", &test_gemma_path, kNoGemma, 3e-3, 0.8, 0.98, {2, 4}}),
    [](const auto& info) { return info.param.name; });

TEST_P(GoldenTest, ExactAgrees) {
  const auto ours = score_with("exact");
  ASSERT_FALSE(ours.empty());
  const Difference difference = compare(golden_, ours);
  EXPECT_LT(difference.agreement.mean_kl(), 1e-10);
  EXPECT_LT(difference.most_logprob, 1e-4);
  EXPECT_EQ(difference.agreement.same_top, difference.agreement.positions);
}

TEST_P(GoldenTest, CpuAgreesWithinTheQuantisedBound) {
  const auto ours = score_with("tenon.backend.cpu");
  ASSERT_FALSE(ours.empty());
  const Difference difference = compare(golden_, ours);
  EXPECT_LT(difference.agreement.mean_kl(), GetParam().cpu_kl);
  EXPECT_LT(difference.most_logprob, GetParam().cpu_logprob);
  EXPECT_GE(difference.agreement.top1(), GetParam().cpu_top1);
}

TEST_P(GoldenTest, ExactAnswersGreedilyAsTheIndependentImplementation) {
  auto engine = load_engine({.backend = "exact"}, path_);
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  ASSERT_EQ(golden_.greedy_answer.size(), 128u);
  RequestSpec request;
  request.prompt = golden_.greedy_prompt;
  request.max_tokens = 128;
  request.ignore_eos = true;
  Answer answer;
  const auto id = submit_into(**engine, std::move(request), answer);
  ASSERT_TRUE(id.ok()) << id.error().to_string();
  const Status ran = (*engine)->engine().run();
  ASSERT_TRUE(ran.ok()) << ran.error().to_string();
  EXPECT_EQ(answer.tokens, golden_.greedy_answer);
}

// Another number of ranks is another draw of the same rounding noise (parallelism/tp's README): it
// may not be farther from the meaning.
TEST_P(GoldenTest, RanksAgreeWithinTheQuantisedBound) {
  for (const int ranks : GetParam().ranks) {
    const auto ours = score_with("tenon.backend.cpu", ranks);
    ASSERT_FALSE(ours.empty());
    const Difference difference = compare(golden_, ours);
    EXPECT_LT(difference.agreement.mean_kl(), GetParam().cpu_kl) << ranks;
    EXPECT_GE(difference.agreement.top1(), 0.95) << ranks;
  }
}

TEST_P(GoldenTest, CpuHasTheBitsOfTheContract) {
  const auto cpu = score_with("tenon.backend.cpu"), contract = score_with("contract");
  ASSERT_EQ(cpu.size(), golden_.texts.size());
  ASSERT_EQ(contract.size(), golden_.texts.size());
  for (std::size_t t = 0; t < cpu.size(); ++t) {
    ASSERT_EQ(cpu[t].size(), golden_.texts[t].size() - 1);
    ASSERT_EQ(contract[t].size(), cpu[t].size());
    for (std::size_t i = 0; i < cpu[t].size(); ++i)
      EXPECT_EQ(
          std::memcmp(cpu[t][i].data(), contract[t][i].data(), cpu[t][i].size() * sizeof(float)), 0)
          << "text " << t << ", position " << i + 1;
  }
}

}  // namespace
}  // namespace tenon
