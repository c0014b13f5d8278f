// One test for every backend and op: the contract's bits by memcmp, its meaning by the exact
// reference within a bound.
#include <gtest/gtest.h>

#include <cmath>

#include "core/conform/attend_case.h"
#include "tests/fixtures/backends.h"

namespace tenon {
namespace {

using Matrix = TestBackend::Matrix;

// Relative to the largest value of the row: what int8 activations cost. A row of few values may
// cancel to nothing: there only bits are compared.
void expect_close(const Matrix& got, const Matrix& want, double bound, const std::string& what) {
  for (std::int64_t r = 0; r < got.rows && got.columns >= 8; ++r) {
    double most = 1e-3, worst = 0;
    for (std::int64_t c = 0; c < got.columns; ++c) {
      const auto at = static_cast<std::size_t>(r * got.columns + c);
      most = std::max(most, std::abs(double{want.values[at]}));
      worst = std::max(worst, std::abs(double{got.values[at]} - double{want.values[at]}));
    }
    ASSERT_LE(worst / most, bound) << what << " row " << r;
  }
}

struct LinearCase {
  tenon_layout layout;
  bool has_min;
  std::int64_t n, k, rows;
  tenon_epilogue epilogue;
  bool norm;
  bool wide = false, post_norm = false, five_bits = false;
  std::string name() const {
    return "layout " + std::to_string(layout) + (has_min ? "+min" : "") + (wide ? " wide" : "") +
           (five_bits ? " five bits" : "") + " n " + std::to_string(n) + " k " + std::to_string(k) +
           " rows " + std::to_string(rows) + " epilogue " + std::to_string(epilogue) +
           (norm ? " norm" : "") + (post_norm ? " post norm" : "");
  }
};

std::vector<Matrix> run_linear(const TestBackend& backend, const LinearCase& c) {
  std::mt19937 random(static_cast<std::uint32_t>(c.n * 31 + c.k * 7 + c.rows));
  TestWeight norm(TENON_LAYOUT_F32, 1, c.k, false, random),
      first(c.layout, c.n, c.k, c.has_min, random, c.wide);
  // Several weights of a group may differ in n, unless they are gate and up.
  TestWeight second(c.layout, c.epilogue == TENON_EPILOGUE_NONE ? 2 * c.n + 1 : c.n, c.k, c.has_min,
                    random, c.wide);
  if (c.five_bits) first.keep_five_bits(), second.keep_five_bits();
  TestWeight post(TENON_LAYOUT_F32, 1, c.n, false, random);
  EXPECT_TRUE(post.load(backend.table(), 3).ok() && norm.load(backend.table(), 0).ok() &&
              first.load(backend.table(), 1).ok() && second.load(backend.table(), 2).ok());
  const std::uint32_t ids[] = {1, 2};
  const std::uint32_t n_weights = c.epilogue == TENON_EPILOGUE_RESIDUAL ? 1 : 2;
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, c.epilogue, c.norm ? 0 : -1, n_weights, 1e-5, ids,
      c.post_norm ? 3 : -1,       0};
  EXPECT_TRUE(backend.table().prepare_linear_group(&group).ok());
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
  std::vector<Matrix> in = {random_matrix(c.rows, c.k, random, 3)};
  if (c.rows > 2)
    std::fill_n(in[0].values.begin() + c.k, std::min<std::int64_t>(c.k, 32),
                0.0f);  // a group of zeros
  if (c.epilogue == TENON_EPILOGUE_RESIDUAL) in.push_back(random_matrix(c.rows, c.n, random));
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {{c.rows, c.n}};
  if (c.epilogue == TENON_EPILOGUE_NONE) shapes.push_back({c.rows, second.n});
  return backend.call(&op.hdr, in, shapes);
}

std::vector<LinearCase> linear_cases() {
  std::vector<LinearCase> out;
  struct Form {
    tenon_layout layout;
    bool has_min, wide;
  };
  const Form forms[] = {
      {TENON_LAYOUT_Q4M32, true, false},  {TENON_LAYOUT_Q4M32, true, true},
      {TENON_LAYOUT_Q8M32, false, false}, {TENON_LAYOUT_Q8M32, false, true},
      {TENON_LAYOUT_Q8M32, true, false},  {TENON_LAYOUT_Q8M32, true, true},
      {TENON_LAYOUT_Q8N16, false, false}, {TENON_LAYOUT_Q8N16, false, true},
      {TENON_LAYOUT_F32, false, false},
  };
  for (const auto& [layout, has_min, wide] : forms) {
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 70})
      out.push_back({layout, has_min, 48, 96, rows, TENON_EPILOGUE_NONE, true, wide});
    for (const std::int64_t n : {1, 15, 16, 17, 31, 576})
      out.push_back({layout, has_min, n, 64, 3, TENON_EPILOGUE_RESIDUAL, false, wide});
    for (const std::int64_t k : {32, 64, 160, 576, 1536})
      out.push_back({layout, has_min, 32, k, 2, TENON_EPILOGUE_SILU_MUL, true, wide});
    for (const tenon_epilogue gate : {TENON_EPILOGUE_SILU_MUL, TENON_EPILOGUE_GELU_MUL})
      out.push_back({layout, has_min, 40, 160, 13, gate, true, wide});
    for (const std::int64_t n : {1, 17, 640})
      out.push_back({layout, has_min, n, 64, 3, TENON_EPILOGUE_RESIDUAL, false, wide, true});
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 33})
      if (layout == TENON_LAYOUT_Q8M32)
        out.push_back(
            {layout, has_min, 40, 160, rows, TENON_EPILOGUE_NONE, true, wide, false, true});
  }
  for (const std::int64_t k : {1, 7, 33})
    out.push_back({TENON_LAYOUT_F32, false, 5, k, 3, TENON_EPILOGUE_NONE, true});
  return out;
}

TEST(Backends, LinearGroup) {
  for (const LinearCase& c : linear_cases()) {
    const std::vector<Matrix> want = run_linear(*TestBackend::make("contract"), c);
    const std::vector<Matrix> meaning = run_linear(*TestBackend::make("exact"), c);
    for (std::size_t i = 0; i < want.size(); ++i)
      // GELU's product of two noisy factors is smaller than SiLU's where the gate is negative.
      expect_close(want[i], meaning[i],
                   c.layout == TENON_LAYOUT_F32            ? 1e-5
                   : c.epilogue == TENON_EPILOGUE_GELU_MUL ? 0.08
                                                           : 0.05,
                   "contract, " + c.name());
    for (const std::string& name : contract_backends())
      for (const std::uint32_t stripes : {1, 2, 3, 7}) {
        const std::vector<Matrix> got =
            run_linear(*TestBackend::make(name, 1 + stripes % 3, stripes), c);
        for (std::size_t i = 0; i < want.size(); ++i)
          expect_same_bits(got[i], want[i], name + ", " + c.name());
      }
  }
}

// The largest sums that can be: every value at the ends of its range, against activations that
// round to 127 and -127.
TEST(Backends, LargestSums) {
  struct Ends {
    tenon_layout layout;
    int low, high;
    bool has_min = false;
  };
  for (const auto& [layout, low, high, has_min] : {Ends{TENON_LAYOUT_Q4M32, 0, 15, true},
                                                   {TENON_LAYOUT_Q8M32, -128, 127},
                                                   {TENON_LAYOUT_Q8M32, -16, 15},
                                                   {TENON_LAYOUT_Q8M32, 0, 31, true},
                                                   {TENON_LAYOUT_Q8N16, -128, 127}}) {
    const auto run = [&, layout = layout, low = low, high = high,
                      has_min = has_min](const std::string& name) {
      const auto backend = TestBackend::make(name);
      std::mt19937 random(9);
      TestWeight weight(layout, 48, 64, has_min, random);
      Matrix x = random_matrix(5, 64, random);
      for (std::int64_t i = 0; i < 48 * 64; ++i) {
        // Rows of the highest value, of the lowest, and of the one that keeps signs alike.
        const std::int64_t row = i / 64 % 4;
        const bool top = row == 0 || (row == 2 && i % 2 == 0) || (row == 3 && random() % 2 == 0);
        weight.values[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(top ? high : low);
      }
      for (std::int64_t i = 0; i < 5 * 64; ++i) {
        const std::int64_t row = i / 64;
        const bool up = row == 0 || (row == 2 && i % 2 == 0) || (row > 2 && random() % 2 == 0);
        x.values[static_cast<std::size_t>(i)] = up ? 3.0f : -3.0f;
      }
      EXPECT_TRUE(weight.load(backend->table(), 0).ok());
      const std::uint32_t id = 0;
      const tenon_linear_group group{
          {sizeof group, 0, nullptr}, 0, TENON_EPILOGUE_NONE, -1, 1, 0, &id, -1, 0};
      EXPECT_TRUE(backend->table().prepare_linear_group(&group).ok());
      const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
      return backend->call(&op.hdr, {x}, {{5, 48}})[0];
    };
    const Matrix want = run("contract");
    const std::string of = ", layout " + std::to_string(layout);
    expect_close(want, run("exact"), 1e-5, std::string("contract").append(of));
    for (const std::string& name : contract_backends())
      expect_same_bits(run(name), want, name + of);
  }
}

// Gates from one end of floats to the other: x as it is for the gate, and 1 for up.
TEST(Backends, GatesAtTheirEdges) {
  const std::vector<float> edges = {0.0f,  -0.0f,  1e-38f, -1e-38f, 1e-44f, 0.5f,   -0.5f,   20,
                                    -20,   87,     -87,    88.5f,   -88.5f, 104,    -104,    1e4f,
                                    -1e4f, 1e10f,  -1e10f, 1e12f,   -1e12f, 3e18f,  -3e18f,  1.7f,
                                    -1.7f, 0.044f, -0.04f, 5,       -5,     10.25f, -10.25f, 0.75f};
  const auto run = [&](const std::string& name, tenon_epilogue gate) {
    const auto backend = TestBackend::make(name);
    const auto n = static_cast<std::int64_t>(edges.size()), rows = std::int64_t{7};
    std::mt19937 random(1);
    // Row r has edge c + r in column c, which is 1 for one column of K more.
    TestWeight pick(TENON_LAYOUT_F32, n, n + 1, false, random), ones = pick;
    std::fill(pick.floats.begin(), pick.floats.end(), 0.0f);
    ones.floats = pick.floats;
    Matrix x{std::vector<float>(static_cast<std::size_t>(rows * (n + 1))), rows, n + 1};
    for (std::int64_t c = 0; c < n; ++c) {
      pick.floats[static_cast<std::size_t>(c * (n + 1) + c)] = 1;
      ones.floats[static_cast<std::size_t>(c * (n + 1) + n)] = 1;
    }
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c <= n; ++c)
        x.values[static_cast<std::size_t>(r * (n + 1) + c)] =
            c == n ? 1 : edges[static_cast<std::size_t>((c + r) % n)];
    EXPECT_TRUE(pick.load(backend->table(), 0).ok() && ones.load(backend->table(), 1).ok());
    const std::uint32_t ids[] = {0, 1};
    const tenon_linear_group group{{sizeof group, 0, nullptr}, 0, gate, -1, 2, 0, ids, -1, 0};
    EXPECT_TRUE(backend->table().prepare_linear_group(&group).ok());
    const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
    Matrix out = backend->call(&op.hdr, {x}, {{rows, n}})[0];
    for (std::int64_t i = 0; i < rows * n; ++i) {
      const float g = edges[static_cast<std::size_t>((i % n + i / n) % n)] + 0.0f;
      const float want = gate == TENON_EPILOGUE_SILU_MUL ? tenon_silu(g) : tenon_gelu(g);
      EXPECT_EQ(out.values[static_cast<std::size_t>(i)], want) << g;
    }
    return out;
  };
  for (const tenon_epilogue gate : {TENON_EPILOGUE_SILU_MUL, TENON_EPILOGUE_GELU_MUL}) {
    const Matrix want = run("contract", gate);
    for (const std::string& name : contract_backends())
      expect_same_bits(run(name, gate), want, name + ", gate " + std::to_string(gate));
  }
}

TEST(Backends, Gather) {
  for (const tenon_layout layout :
       {TENON_LAYOUT_Q4M32, TENON_LAYOUT_Q8M32, TENON_LAYOUT_Q8N16, TENON_LAYOUT_F32}) {
    const auto run = [&](const std::string& name) {
      const auto backend = TestBackend::make(name);
      std::mt19937 random(5);
      TestWeight weight(layout, 37, 64, layout == TENON_LAYOUT_Q4M32, random, true);
      EXPECT_TRUE(weight.load(backend->table(), 0).ok());
      const std::vector<std::int32_t> ids = {0, 36, 7, 7, 15, 16};
      tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 25.3};
      std::vector<Matrix> out = backend->call(&op.hdr, {}, {{6, 64}}, &ids);
      op.weight = -1;
      out.push_back(backend->call(&op.hdr, {random_matrix(37, 24, random)}, {{6, 24}}, &ids)[0]);
      return out;
    };
    const auto want = run("contract"), meaning = run("exact");
    for (int i = 0; i < 2; ++i)
      expect_close(want[static_cast<std::size_t>(i)], meaning[static_cast<std::size_t>(i)], 1e-6,
                   "contract gather");
    for (const std::string& name : contract_backends()) {
      const auto got = run(name);
      for (std::size_t i = 0; i < 2; ++i) expect_same_bits(got[i], want[i], name + " gather");
    }
  }
}

using conform::AttendCase;

Matrix run_attend(const TestBackend& backend, const AttendCase& c) {
  auto out = conform::run_attend(backend.rig(), c);
  EXPECT_TRUE(out.ok()) << out.error().to_string();
  return out.ok() ? std::move(out).value() : Matrix{{}, 0, 1};
}

// The case, and one more row of its first sequence, which reads all that was stored.
void expect_attend(const AttendCase& c) {
  const auto run = [&](const std::string& name, std::uint32_t threads, std::uint32_t stripes) {
    const auto backend = TestBackend::make(name, threads, stripes);
    std::vector<Matrix> out = {run_attend(*backend, c)};
    auto more = conform::attend_one_more(backend->rig(), c);
    EXPECT_TRUE(more.ok()) << more.error().to_string();
    if (more.ok()) out.push_back(std::move(more).value());
    return out;
  };
  const auto want = run("contract", 2, 3), meaning = run("exact", 2, 3);
  for (std::size_t i = 0; i < want.size(); ++i)
    expect_close(want[i], meaning[i], 5e-3, "contract attend, " + c.name());
  for (const std::string& name : contract_backends())
    for (const std::uint32_t stripes : {1, 2, 3, 7}) {
      const auto got = run(name, 1 + stripes % 3, stripes);
      for (std::size_t i = 0; i < want.size(); ++i)
        expect_same_bits(got[i], want[i], name + " attend, " + c.name());
    }
}

TEST(Backends, Attend) {
  const std::vector<AttendCase> cases = {
      {1, 1, 8, TENON_ROPE_STYLE_NONE, 0, {{0, 1}}, false},
      {3, 1, 32, TENON_ROPE_STYLE_ADJACENT, 32, {{0, 5}, {63, 1}, {64, 1}, {65, 2}}, false},
      {9, 3, 64, TENON_ROPE_STYLE_ADJACENT, 64, {{0, 130}}, false},
      {9, 3, 64, TENON_ROPE_STYLE_ADJACENT, 64, {{300, 1}}, false},
      {9, 3, 64, TENON_ROPE_STYLE_HALF, 32, {{127, 1}, {128, 1}, {0, 64}}, false},
      {5, 1, 40, TENON_ROPE_STYLE_HALF, 40, {{31, 3}, {90, 40}}, false},
      {4, 4, 16, TENON_ROPE_STYLE_ADJACENT, 16, {{200, 1}, {10, 1}}, false},
      {2, 1, 256, TENON_ROPE_STYLE_HALF, 256, {{70, 2}}, false},
      {3, 1, 32, TENON_ROPE_STYLE_ADJACENT, 32, {{260, 3}, {140, 1}}, true},
      {4, 1, 256, TENON_ROPE_STYLE_HALF, 256, {{0, 3}, {130, 1}}, false, 0, true},
      {4, 2, 32, TENON_ROPE_STYLE_HALF, 32, {{0, 200}, {150, 9}}, false, 100, true},
      {4, 2, 32, TENON_ROPE_STYLE_HALF, 32, {{300, 1}, {64, 1}, {65, 1}}, false, 64, false},
      {3, 1, 32, TENON_ROPE_STYLE_HALF, 32, {{200, 40}, {63, 2}}, false, 1, false},
      {3, 1, 32, TENON_ROPE_STYLE_HALF, 32, {{290, 2}, {127, 1}}, false, 33, true},
  };
  for (const AttendCase& c : cases) expect_attend(c);
}

// Tiles of rows begin and end at every place of a page, read it in part, and have any number of
// query heads beside each other; sequences of many and of few rows are in one batch.
TEST(Backends, AttendInTiles) {
  const std::vector<AttendCase> cases = {
      {8, 1, 64, TENON_ROPE_STYLE_HALF, 64, {{40, 90}}, false},
      {4, 4, 8, TENON_ROPE_STYLE_ADJACENT, 8, {{3, 70}}, false},
      {4, 1, 256, TENON_ROPE_STYLE_HALF, 256, {{120, 20}}, false, 0, true},
      {3, 1, 88, TENON_ROPE_STYLE_HALF, 40, {{70, 30}, {200, 1}}, false},
      {7, 1, 64, TENON_ROPE_STYLE_ADJACENT, 64, {{300, 8}}, false},
      {6, 2, 64, TENON_ROPE_STYLE_HALF, 64, {{0, 40}, {130, 1}, {20, 9}, {127, 8}}, false},
      {6, 2, 64, TENON_ROPE_STYLE_HALF, 64, {{0, 90}, {130, 1}, {20, 9}, {127, 8}}, false, 70},
      // Some rows' own page is not read.
      {3, 1, 32, TENON_ROPE_STYLE_ADJACENT, 32, {{124, 8}, {120, 12}}, true},
      {3, 1, 32, TENON_ROPE_STYLE_ADJACENT, 32, {{120, 12}, {60, 7}}, true},
  };
  for (const AttendCase& c : cases) expect_attend(c);
}

TEST(Backends, CopiedPagesReadTheSame) {
  for (const std::string name : {"contract", "avx2"}) {
    const auto backend = TestBackend::make(name);
    const AttendCase c{3, 1, 32, TENON_ROPE_STYLE_ADJACENT, 32, {{64, 1}}, false};
    run_attend(*backend, c);
    // Page 5 holds the sequence's first 64 tokens (see AttendRun): copy it, poison it, copy it
    // back.
    EXPECT_TRUE(backend->table().kv_copy_page(0, 5, 60).ok());
    EXPECT_TRUE(backend->table().kv_poison_page(0, 5).ok());
    EXPECT_TRUE(backend->table().kv_copy_page(0, 60, 5).ok());
    EXPECT_TRUE(backend->table().sync().ok());
    const std::uint32_t pages[] = {5, 8};
    const tenon_sequence_rows rows{0, 1, 65, 2, pages, 0, 0};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 1};
    const tenon_read_pages read{pages, nullptr, 2, 0};
    const tenon_read_set read_set{{sizeof read_set, 0, nullptr}, &read, 1, 0};
    const tenon_op_attend op{{sizeof op, TENON_OP_ATTEND, nullptr}, 1, 1, &batch, &read_set};
    std::mt19937 random(1);
    const Matrix out = backend->call(
        &op.hdr,
        {random_matrix(1, 96, random), random_matrix(1, 32, random), random_matrix(1, 32, random)},
        {{1, 96}})[0];
    for (const float value : out.values) EXPECT_TRUE(std::isfinite(value)) << name;
  }
}

TEST(Backends, Sample) {
  const auto run = [](const std::string& name) {
    const auto backend = TestBackend::make(name);
    std::mt19937 random(3);
    const std::int64_t n = 1003;
    const Matrix logits = random_matrix(6, n, random, 4);
    const tenon_sample_adjust adjust[] = {{5, 1.3f, -1}, {700, 1, 8}};
    std::vector<tenon_sample_row> rows(6, tenon_sample_row{11, 3, -1, 0, 0, 1, 0, 0, 4, nullptr});
    rows[1].target = 77;
    rows[2].temperature = 0.8f;
    rows[3] = {12, 9, -1, 1.2f, 40, 0.9f, 0.01f, 2, 4, adjust};
    rows[4] = {13, 9, -1, 1.0f, 0, 0.7f, 0, 0, 4, nullptr};
    rows[5] = {14, 9, -1, 0, 0, 1, 0, 2, 4, adjust};
    std::vector<tenon_token_logprob> top(24);
    std::vector<tenon_sample_result> results;
    for (int i = 0; i < 6; ++i) results.push_back({-1, 0, top.data() + 4 * i});
    const tenon_op_sample op{{sizeof op, TENON_OP_SAMPLE, nullptr}, rows.data(), results.data()};
    backend->call(&op.hdr, {logits}, {});
    std::vector<std::pair<std::int32_t, float>> out;
    for (const auto& result : results) out.push_back({result.token, result.logprob});
    for (const auto& entry : top) out.push_back({entry.token, entry.logprob});
    return out;
  };
  const auto want = run("contract");
  EXPECT_EQ(want[1].first, 77);
  for (const std::string& name : contract_backends()) EXPECT_EQ(run(name), want) << name;
}

TEST(Backends, GatherOutsideTheTableIsAnError) {
  for (const std::string name : {"contract", "avx2"}) {
    const auto backend = TestBackend::make(name);
    std::mt19937 random(5);
    TestWeight weight(TENON_LAYOUT_F32, 4, 8, false, random);
    ASSERT_TRUE(weight.load(backend->table(), 0).ok());
    std::int32_t ids[] = {4};
    float out[8];
    std::int64_t in_shape[] = {1, 1}, out_shape[] = {1, 8}, strides[] = {8, 1};
    const tenon_view in{ids, {1, 0}, 1, {0, 32, 1}, in_shape, strides + 1, 0},
        to{out, {1, 0}, 2, {2, 32, 1}, out_shape, strides, 0};
    const tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 1};
    Status status = backend->table().call(&op.hdr, &in, 1, &to, 1);
    if (status.ok()) status = backend->table().sync();
    EXPECT_FALSE(status.ok()) << name;
  }
}

}  // namespace
}  // namespace tenon
