// Low-rank deltas of linear groups: the contract's bits on every backend of it, the meaning by the
// exact reference, and that rows without a delta do not notice their neighbours'.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/fixtures/backends.h"

namespace tenon {
namespace {

using Matrix = TestBackend::Matrix;

struct Segment {
  std::int32_t row, n_rows;
  std::vector<std::int32_t> ranks;  // per weight of the group; 0: nothing
};

struct Case {
  tenon_layout layout;
  std::int64_t n, k, rows;
  tenon_epilogue epilogue;
  bool norm;
  std::vector<Segment> segments;
  bool post_norm = false;
  std::string name() const {
    std::string out = "layout " + std::to_string(layout) + " n " + std::to_string(n) + " k " +
                      std::to_string(k) + " rows " + std::to_string(rows) + " epilogue " +
                      std::to_string(epilogue) + (norm ? " norm" : "");
    for (const Segment& s : segments)
      out += " [" + std::to_string(s.row) + "+" + std::to_string(s.n_rows) + "]";
    return out;
  }
};

// A factor, loaded as one.
void load_factor(const TestBackend& backend, std::uint32_t id, tenon_weight_use use,
                 std::vector<float>& values, std::int64_t n, std::int64_t k) {
  struct Source {
    const float* values;
    std::int64_t k;
  } source{values.data(), k};
  const auto read = [](void* ctx, std::int64_t first, std::int64_t rows, void* out, float*,
                       float*) {
    const auto& s = *static_cast<Source*>(ctx);
    std::copy_n(s.values + first * s.k, rows * s.k, static_cast<float*>(out));
  };
  const tenon_weight weight{
      {sizeof weight, 0, nullptr}, {"f", 1}, id, TENON_LAYOUT_F32, n, k, 0, use, read, &source};
  EXPECT_TRUE(backend.table().load_weight(&weight).ok());
}

std::vector<float> random_factor(std::int64_t values, std::mt19937& random) {
  std::normal_distribution<float> normal(0, 0.3f);
  std::vector<float> out;
  for (std::int64_t i = 0; i < values; ++i) out.push_back(normal(random));
  return out;
}

constexpr std::uint32_t kFirstFactor = 100;

std::vector<Matrix> run(const TestBackend& backend, const Case& c, bool deltas = true,
                        bool prepare = true) {
  std::mt19937 random(static_cast<std::uint32_t>(c.n * 31 + c.k * 7 + c.rows));
  const bool plain = c.epilogue == TENON_EPILOGUE_NONE, has_min = c.layout == TENON_LAYOUT_Q4M32;
  const std::int64_t second_n = plain ? 2 * c.n + 1 : c.n;
  TestWeight norm(TENON_LAYOUT_F32, 1, c.k, false, random),
      post(TENON_LAYOUT_F32, 1, c.n, false, random), first(c.layout, c.n, c.k, has_min, random),
      second(c.layout, second_n, c.k, has_min, random);
  EXPECT_TRUE(norm.load(backend.table(), 0).ok() && first.load(backend.table(), 1).ok() &&
              second.load(backend.table(), 2).ok() && post.load(backend.table(), 3).ok());
  const std::uint32_t ids[] = {1, 2};
  const std::uint32_t n_weights = c.epilogue == TENON_EPILOGUE_RESIDUAL ? 1 : 2;
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, c.epilogue, c.norm ? 0 : -1, n_weights, 1e-5, ids,
      c.post_norm ? 3 : -1,       0};
  EXPECT_TRUE(!prepare || backend.table().prepare_linear_group(&group).ok());

  std::vector<std::vector<tenon_low_rank>> of_weight;
  std::vector<tenon_row_deltas> rows;
  std::uint32_t id = kFirstFactor;
  for (const Segment& segment : c.segments) {
    of_weight.emplace_back();
    for (std::uint32_t w = 0; w < n_weights; ++w) {
      const std::int32_t rank = segment.ranks[w];
      of_weight.back().push_back({id, id + 1, 0.37 + 0.1 * w, rank, 0});
      if (rank == 0) continue;
      const std::int64_t n = w == 0 ? c.n : second_n;
      std::vector<float> a = random_factor(rank * c.k, random), b = random_factor(n * rank, random);
      load_factor(backend, id, TENON_WEIGHT_USE_LOW_RANK_A, a, rank, c.k);
      load_factor(backend, id + 1, TENON_WEIGHT_USE_LOW_RANK_B, b, n, rank);
      id += 2;
    }
  }
  for (std::size_t i = 0; i < c.segments.size(); ++i)
    rows.push_back({c.segments[i].row, c.segments[i].n_rows, of_weight[i].data()});
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr},
                                 0,
                                 deltas ? static_cast<std::int32_t>(rows.size()) : 0,
                                 deltas ? rows.data() : nullptr};
  std::vector<Matrix> in = {random_matrix(c.rows, c.k, random, 2)};
  if (c.epilogue == TENON_EPILOGUE_RESIDUAL) in.push_back(random_matrix(c.rows, c.n, random));
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {{c.rows, c.n}};
  if (plain) shapes.push_back({c.rows, second_n});
  return backend.call(&op.hdr, in, shapes);
}

std::vector<Case> cases() {
  const std::vector<Segment> mixed = {{1, 2, {8, 0}}, {4, 1, {16, 64}}, {5, 3, {1, 8}}};
  std::vector<Case> out;
  for (const tenon_layout layout : {TENON_LAYOUT_Q4M32, TENON_LAYOUT_Q8M32, TENON_LAYOUT_F32}) {
    for (const tenon_epilogue epilogue :
         {TENON_EPILOGUE_NONE, TENON_EPILOGUE_SILU_MUL, TENON_EPILOGUE_GELU_MUL})
      for (const bool norm : {true, false})
        out.push_back({layout, 48, 96, 9, epilogue, norm, mixed});
    for (const std::int64_t n : {1, 15, 17, 576})
      out.push_back(
          {layout, n, 64, 5, TENON_EPILOGUE_RESIDUAL, n % 2 == 0, {{0, 1, {8}}, {2, 3, {3}}}});
    out.push_back({layout, 40, 160, 3, TENON_EPILOGUE_RESIDUAL, false, {{0, 3, {64}}}, true});
    for (const std::int32_t rank : {1, 7, 8, 9, 16, 65})
      out.push_back({layout, 33, 64, 1, TENON_EPILOGUE_NONE, true, {{0, 1, {rank, rank}}}});
    // Many rows of one adapter, then of another, and every row another adapter.
    out.push_back(
        {layout, 32, 64, 70, TENON_EPILOGUE_NONE, true, {{0, 37, {8, 8}}, {37, 33, {4, 12}}}});
    std::vector<Segment> each;
    for (std::int32_t r = 0; r < 8; ++r) each.push_back({r, 1, {8, 8}});
    out.push_back({layout, 64, 576, 8, TENON_EPILOGUE_SILU_MUL, true, each});
  }
  out.push_back({TENON_LAYOUT_F32, 5, 7, 3, TENON_EPILOGUE_NONE, true, {{1, 1, {2, 2}}}});
  return out;
}

TEST(LowRank, EveryContractBackendGivesTheReferencesBits) {
  for (const Case& c : cases()) {
    const std::vector<Matrix> want = run(*TestBackend::make("contract"), c);
    for (const std::string& name : contract_backends())
      for (const std::uint32_t stripes : {1, 2, 3, 7}) {
        const std::vector<Matrix> got = run(*TestBackend::make(name, 1 + stripes % 3, stripes), c);
        for (std::size_t i = 0; i < want.size(); ++i)
          expect_same_bits(got[i], want[i], name + ", " + c.name());
      }
  }
}

TEST(LowRank, RowsWithoutADeltaKeepTheirBits) {
  for (const Case& c : cases()) {
    if (c.post_norm) continue;
    for (const std::string name : {"contract", "avx2", "exact"}) {
      const auto backend = TestBackend::make(name);
      const std::vector<Matrix> with = run(*backend, c),
                                without = run(*TestBackend::make(name), c, false);
      for (std::size_t i = 0; i < with.size(); ++i)
        for (std::int64_t r = 0; r < c.rows; ++r) {
          const bool changed =
              std::any_of(c.segments.begin(), c.segments.end(),
                          [&](const Segment& s) { return r >= s.row && r < s.row + s.n_rows; });
          const auto at = static_cast<std::size_t>(r * with[i].columns),
                     bytes = static_cast<std::size_t>(with[i].columns) * 4;
          const bool same = std::memcmp(&with[i].values[at], &without[i].values[at], bytes) == 0;
          ASSERT_TRUE(same || changed) << name << ", " << c.name() << " row " << r;
        }
    }
  }
}

// y + scale * B (A x) on an f32 weight is the product with W + scale * B A.
TEST(LowRank, IsTheMergedWeight) {
  constexpr std::int64_t kN = 24, kK = 40, kRows = 3;
  constexpr std::int32_t kRank = 5;
  constexpr double kScale = 0.75;
  for (const auto& [name, bound] : {std::pair("exact", 1e-5), std::pair("contract", 2e-2)}) {
    std::mt19937 random(3);
    const auto backend = TestBackend::make(name);
    TestWeight w(TENON_LAYOUT_F32, kN, kK, false, random);
    std::vector<float> a = random_factor(kRank * kK, random), b = random_factor(kN * kRank, random);
    EXPECT_TRUE(w.load(backend->table(), 0).ok());
    load_factor(*backend, 2, TENON_WEIGHT_USE_LOW_RANK_A, a, kRank, kK);
    load_factor(*backend, 3, TENON_WEIGHT_USE_LOW_RANK_B, b, kN, kRank);
    for (std::int64_t n = 0; n < kN; ++n)
      for (std::int64_t i = 0; i < kK; ++i) {
        double sum = 0;
        for (std::int64_t r = 0; r < kRank; ++r)
          sum += double{b[static_cast<std::size_t>(n * kRank + r)]} *
                 a[static_cast<std::size_t>(r * kK + i)];
        w.floats[static_cast<std::size_t>(n * kK + i)] += static_cast<float>(kScale * sum);
      }
    EXPECT_TRUE(w.load(backend->table(), 1).ok());
    const std::uint32_t ids[] = {0, 1};
    for (std::uint32_t g = 0; g < 2; ++g) {
      const tenon_linear_group group{
          {sizeof group, 0, nullptr}, g, TENON_EPILOGUE_NONE, -1, 1, 0, ids + g, -1, 0};
      EXPECT_TRUE(backend->table().prepare_linear_group(&group).ok());
    }
    const tenon_low_rank delta{2, 3, kScale, kRank, 0};
    const tenon_row_deltas rows{0, kRows, &delta};
    const Matrix x = random_matrix(kRows, kK, random);
    tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 1, &rows};
    const Matrix changed = backend->call(&op.hdr, {x}, {{kRows, kN}})[0];
    op.group = 1, op.n_deltas = 0, op.deltas = nullptr;
    const Matrix merged = backend->call(&op.hdr, {x}, {{kRows, kN}})[0];
    for (std::size_t i = 0; i < merged.values.size(); ++i)
      EXPECT_NEAR(changed.values[i], merged.values[i], bound) << name;
  }
}

// A freed id takes another factor of another size.
TEST(LowRank, FreedIdsAreUsedAgain) {
  for (const std::string name : {"contract", "avx2"}) {
    const Case first{TENON_LAYOUT_Q8M32, 48, 96, 4, TENON_EPILOGUE_NONE, true, {{0, 4, {16, 16}}}},
        second{TENON_LAYOUT_Q8M32, 48, 96, 4, TENON_EPILOGUE_NONE, true, {{1, 2, {3, 8}}}};
    const auto backend = TestBackend::make(name);
    run(*backend, first);
    for (std::uint32_t id = kFirstFactor; id < kFirstFactor + 4; ++id)
      backend->table().free_weight(id);
    const std::vector<Matrix> got = run(*backend, second, true, false),
                              want = run(*TestBackend::make(name), second);
    for (std::size_t i = 0; i < want.size(); ++i) expect_same_bits(got[i], want[i], name);
  }
}

}  // namespace
}  // namespace tenon
