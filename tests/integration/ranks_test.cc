// The real models on several ranks against the same on one. Bounds: both are draws of the rounding
// noise of int8 activations, and this is how far two draws lie apart (parallelism/tp's README).
#include <gtest/gtest.h>

#include "tests/fixtures/engines.h"
#include "tests/integration/numerics.h"
#include "tests/integration/numerics_golden.h"
#include "tests/integration/test_model.h"

namespace tenon {
namespace {

struct Split {
  std::optional<std::string> (*path)();
  const char* missing;
  int ranks;
  double kl, top1;
};

class RealRanks : public testing::TestWithParam<Split> {};
INSTANTIATE_TEST_SUITE_P(, RealRanks,
                         testing::Values(Split{&test_model_path, kNoTestModel, 3, 5e-3, 0.97},
                                         Split{&test_gemma_path, kNoGemma, 2, 8e-3, 0.92},
                                         Split{&test_gemma_path, kNoGemma, 4, 8e-3, 0.92}));

TEST_P(RealRanks, KeepTheDistributions) {
  const std::optional<std::string> path = GetParam().path();
  if (!path) GTEST_SKIP() << GetParam().missing;
  auto one = load_engine({}, *path);
  auto many = load_engine({.ranks = GetParam().ranks}, *path);
  ASSERT_TRUE(one.ok() && many.ok());
  std::vector<std::vector<std::int32_t>> texts;
  for (const std::string& text : read_numerics_texts()) {
    texts.push_back((*one)->tokenizer().encode(text, true));
    if ((*one)->tokenizer().add_bos())
      texts.back().insert(texts.back().begin(), *(*one)->tokenizer().bos());
    texts.back().resize(std::min<std::size_t>(texts.back().size(), 100));
  }
  Agreement agreement;
  for (const auto& text : texts) {  // one at a time: Gemma's distributions are a megabyte each
    const auto p = score(**one, std::span(&text, 1)), q = score(**many, std::span(&text, 1));
    ASSERT_TRUE(p.ok() && q.ok());
    for (std::size_t i = 0; i < (*p)[0].size(); ++i)
      agreement.add(kl_divergence((*p)[0][i], (*q)[0][i]),
                    most_likely((*p)[0][i]) == most_likely((*q)[0][i]));
  }
  std::printf("%d ranks: %zu positions, mean KL %.3g, most %.3g, top-1 %.4f\n", GetParam().ranks,
              agreement.positions, agreement.mean_kl(), agreement.kl_most, agreement.top1());
  EXPECT_LE(agreement.mean_kl(), GetParam().kl);
  EXPECT_GE(agreement.top1(), GetParam().top1);
}

}  // namespace
}  // namespace tenon
