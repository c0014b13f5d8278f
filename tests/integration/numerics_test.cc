// The real model over the texts of tests/fixtures/numerics/texts.txt, more than 1,000 positions:
// `cpu`, which serves, against `exact`, which is the meaning; and where TENON_NUMERICS_REFERENCE
// names a file of numerics_reference.py, both against the independent implementation. With
// TENON_NUMERICS_EXACT=0 only `cpu` is compared with that file: over a large vocabulary `exact`
// takes an hour. docs/design/0003-numerics.md has the numbers that the bounds come from.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "tests/fixtures/engines.h"
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
    if (good_) read_int();  // number of texts
    vocabulary_ = good_ ? read_int() : 0;
  }

  bool good() const { return good_ && file_.good(); }

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
  std::int32_t vocabulary_ = 0;
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
  EXPECT_LT(agreement.mean_kl(), 2.6e-3);
  EXPECT_GT(agreement.top1(), 0.965);
}

class Numerics : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<std::string> path = test_model_path();
    if (!path) GTEST_SKIP() << kNoTestModel;
    const char* wanted = std::getenv("TENON_NUMERICS_EXACT");
    with_exact_ = wanted == nullptr || std::string_view(wanted) != "0";
    for (auto [backend, engine] :
         {std::pair{"exact", &exact_}, std::pair{"tenon.backend.cpu", &cpu_}}) {
      if (!with_exact_ && engine == &exact_) continue;
      auto loaded = load_engine({.backend = backend}, *path);
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
  bool with_exact_ = true;
};

TEST_F(Numerics, KeepsTheDistributions) {
  const char* path = std::getenv("TENON_NUMERICS_REFERENCE");
  std::optional<ReferenceFile> reference;
  if (path != nullptr) {
    reference.emplace(path);
    ASSERT_TRUE(reference->good()) << path << " is not a file of numerics_reference.py";
  }
  Agreement exact_to_cpu, reference_to_exact, reference_to_cpu;
  for (const std::string& text : read_numerics_texts()) {
    std::vector<std::int32_t> ids = cpu_->tokenizer().encode(text, true);
    if (cpu_->tokenizer().add_bos()) ids.insert(ids.begin(), *cpu_->tokenizer().bos());
    TextDistributions exact, cpu;
    ASSERT_NO_FATAL_FAILURE(score_one(*cpu_, ids, cpu));
    if (with_exact_) {
      ASSERT_NO_FATAL_FAILURE(score_one(*exact_, ids, exact));
      ASSERT_NO_FATAL_FAILURE(add(exact_to_cpu, exact, cpu));
    }
    if (!reference) continue;
    const ReferenceText expected = reference->next();
    ASSERT_TRUE(reference->good()) << path << " ends early";
    ASSERT_EQ(expected.ids, ids) << path << " was made of other texts";
    if (with_exact_) {
      ASSERT_NO_FATAL_FAILURE(add(reference_to_exact, expected.rows, exact));
    }
    ASSERT_NO_FATAL_FAILURE(add(reference_to_cpu, expected.rows, cpu));
  }
  if (with_exact_) {
    print("KL(exact || cpu)", exact_to_cpu);
    expect_cpu_bound(exact_to_cpu);
  }
  if (!reference) return;
  print("KL(reference || cpu)", reference_to_cpu);
  if (!with_exact_) return expect_cpu_bound(reference_to_cpu);
  print("KL(reference || exact)", reference_to_exact);
  EXPECT_LT(reference_to_exact.mean_kl(), 1e-9);
  EXPECT_EQ(reference_to_exact.same_top, reference_to_exact.positions);
  expect_cpu_bound(reference_to_cpu);
}

}  // namespace
}  // namespace tenon
