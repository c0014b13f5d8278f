// The real model over the texts of tests/fixtures/numerics/texts.txt, more than 1,000 positions:
// `cpu`, which serves, against `exact`, which is the meaning; and `exact` against the independent
// implementation, by its greedy answer (smollm2.golden) and, where TENON_NUMERICS_REFERENCE names a
// file of numerics_reference.py, by the whole distribution of every position.
// docs/design/0003-numerics.md has the numbers that the bounds come from.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/integration/numerics.h"
#include "tests/integration/numerics_golden.h"
#include "tests/integration/test_model.h"

namespace tenon {
namespace {

constexpr std::size_t kFewestPositions = 1000;

struct ReferenceText {
  std::vector<std::int32_t> ids;
  TextDistributions rows;
};

// A file of numerics_reference.py, a text at a time: all of it would be 270 MB.
class ReferenceFile {
 public:
  explicit ReferenceFile(const char* path) : file_(path, std::ios::binary) {
    char magic[8] = {};
    file_.read(magic, sizeof magic);
    good_ = std::memcmp(magic, "TNREF1\0\0", sizeof magic) == 0;
    texts_ = good_ ? read_int() : 0;
    vocabulary_ = good_ ? read_int() : 0;
  }

  bool good() const { return good_ && file_.good(); }
  std::int32_t texts() const { return texts_; }

  ReferenceText next() {
    ReferenceText text;
    text.ids.resize(static_cast<std::size_t>(read_int()));
    read(text.ids);
    text.rows.resize(text.ids.size() - 1);
    for (Distribution& row : text.rows) {
      row.resize(static_cast<std::size_t>(vocabulary_));
      read(row);
    }
    return text;
  }

 private:
  template <class T>
  void read(std::vector<T>& to) {
    file_.read(reinterpret_cast<char*>(to.data()),
               static_cast<std::streamsize>(to.size() * sizeof(T)));
  }
  std::int32_t read_int() {
    std::vector<std::int32_t> value(1);
    read(value);
    return value[0];
  }

  std::ifstream file_;
  bool good_ = false;
  std::int32_t texts_ = 0, vocabulary_ = 0;
};

void add(Agreement& agreement, const TextDistributions& p, const TextDistributions& q) {
  ASSERT_EQ(p.size(), q.size());
  for (std::size_t i = 0; i < p.size(); ++i)
    agreement.add(kl_divergence(p[i], q[i]), most_likely(p[i]) == most_likely(q[i]));
}

void print(const char* what, const Agreement& a) {
  std::printf("%s: %zu positions, mean KL %.4g, most %.3g, top-1 %.4f\n", what, a.positions,
              a.mean_kl(), a.kl_most, a.top1());
  std::fflush(stdout);
}

void expect_cpu_bound(const Agreement& agreement) {
  EXPECT_GE(agreement.positions, kFewestPositions);
  EXPECT_LT(agreement.mean_kl(), 4e-3);
  EXPECT_GT(agreement.top1(), 0.95);
}

class NumericsSlow : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<std::string> path = test_model_path();
    if (!path) GTEST_SKIP() << kNoTestModel;
    for (auto [backend, engine] : {std::pair{kExact, &exact_}, std::pair{kCpu, &cpu_}}) {
      auto loaded = load_test_engine(backend, *path);
      ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
      *engine = std::move(loaded).value();
    }
  }

  static void score_one(LoadedEngine& engine, const std::vector<std::int32_t>& ids,
                        TextDistributions& out) {
    auto scored = score(engine, std::span(&ids, 1));
    ASSERT_TRUE(scored.ok()) << scored.error().to_string();
    out = std::move((*scored)[0]);
  }

  std::unique_ptr<LoadedEngine> exact_, cpu_;
};

TEST_F(NumericsSlow, CpuKeepsTheDistributionsOfExact) {
  Agreement agreement;
  for (const std::string& text : read_numerics_texts()) {
    const std::vector<std::int32_t> ids = exact_->tokenizer().encode(text, true);
    TextDistributions exact, cpu;
    ASSERT_NO_FATAL_FAILURE(score_one(*exact_, ids, exact));
    ASSERT_NO_FATAL_FAILURE(score_one(*cpu_, ids, cpu));
    ASSERT_NO_FATAL_FAILURE(add(agreement, exact, cpu));
  }
  print("exact || cpu", agreement);
  expect_cpu_bound(agreement);
}

TEST_F(NumericsSlow, ExactAnswersAsTheIndependentImplementation) {
  const Golden golden = read_numerics_golden();
  ASSERT_EQ(golden.greedy_answer.size(), 128u);
  RequestSpec request;
  request.prompt = golden.greedy_prompt;
  request.max_tokens = 128;
  request.ignore_eos = true;
  std::vector<std::int32_t> answer;
  request.on_event = [&](const TokenEvent& event) {
    if (event.token >= 0) answer.push_back(event.token);
  };
  const auto id = exact_->engine().submit(std::move(request));
  ASSERT_TRUE(id.ok()) << id.error().to_string();
  const Status ran = exact_->engine().run();
  ASSERT_TRUE(ran.ok()) << ran.error().to_string();
  EXPECT_EQ(answer, golden.greedy_answer);
}

TEST_F(NumericsSlow, BothKeepTheDistributionsOfTheIndependentImplementation) {
  const char* path = std::getenv("TENON_NUMERICS_REFERENCE");
  if (path == nullptr) GTEST_SKIP() << "TENON_NUMERICS_REFERENCE is not set";
  ReferenceFile file(path);
  ASSERT_TRUE(file.good()) << path << " is not a file of numerics_reference.py";
  Agreement exact_agreement, cpu_agreement;
  for (std::int32_t i = 0; i < file.texts(); ++i) {
    const ReferenceText text = file.next();
    ASSERT_TRUE(file.good()) << path << " ends early";
    TextDistributions exact, cpu;
    ASSERT_NO_FATAL_FAILURE(score_one(*exact_, text.ids, exact));
    ASSERT_NO_FATAL_FAILURE(add(exact_agreement, text.rows, exact));
    ASSERT_NO_FATAL_FAILURE(score_one(*cpu_, text.ids, cpu));
    ASSERT_NO_FATAL_FAILURE(add(cpu_agreement, text.rows, cpu));
    print("  text: reference || cpu, so far", cpu_agreement);
  }
  print("reference || exact", exact_agreement);
  print("reference || cpu", cpu_agreement);
  EXPECT_LT(exact_agreement.mean_kl(), 1e-6);
  EXPECT_EQ(exact_agreement.same_top, exact_agreement.positions);
  expect_cpu_bound(cpu_agreement);
}

}  // namespace
}  // namespace tenon
