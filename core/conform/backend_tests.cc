// Backends: every op at edge shapes, against the exact reference; and what must not change a row's
// bits does not.
#include <cmath>
#include <cstring>

#include "core/conform/attend_case.h"
#include "core/conform/backend_rig.h"
#include "core/conform/test.h"
#include "core/reference/reference.h"

namespace tenon::conform {
namespace {

using Matrix = BackendRig::Matrix;
using Opened = Result<std::unique_ptr<BackendRig>>;

Opened open(const Subject& s, std::uint32_t threads = 2, std::uint32_t stripes = 3) {
  TENON_ASSIGN(ResolvedParams params, s.resolve());
  return BackendRig::open(s.file, std::move(params), threads, stripes);
}

Opened open_exact() {
  static PluginCatalog catalog;
  static const Status added =
      catalog.add_builtin(reference::descriptor_text(), &reference::plugin_entry);
  TENON_ASSIGN(const PluginFile* file, catalog.find("tenon.backend.reference"));
  TENON_ASSIGN(ResolvedParams params,
               resolve_params(file->descriptor, {{"policy", std::string("exact"), "kit"}}));
  return BackendRig::open(*file, std::move(params));
}

bool exact(const Subject& s) { return s.descriptor().numerics == Numerics::kExact; }
constexpr const char* kNotExact = "it does not say that it is exact";

// Relative to the largest value of a row: what rounding activations to eight bits costs at most.
Status close(const Matrix& got, const Matrix& want, double bound, const std::string& what) {
  for (std::int64_t r = 0; r < got.rows; ++r) {
    double most = 1e-3, worst = 0;
    for (std::int64_t c = 0; c < got.columns; ++c) {
      const auto at = static_cast<std::size_t>(r * got.columns + c);
      most = std::max(most, std::abs(double{want.values[at]}));
      const double off = std::abs(double{got.values[at]} - double{want.values[at]});
      worst = std::isfinite(off) ? std::max(worst, off) : 1e30;
    }
    // A row of few values may cancel to nothing.
    if (worst / most > bound && (got.columns >= 8 || worst > 1e3))
      return Error{.code = Code::kInternal,
                   .id = "TENON-K060",
                   .message = what + ": row " + std::to_string(r) + " is off",
                   .found = std::to_string(worst / most) + " of the row's largest value",
                   .expected = "at most " + std::to_string(bound)};
  }
  return {};
}

bool same_bits(const std::vector<Matrix>& a, const std::vector<Matrix>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].values.size() != b[i].values.size() ||
        std::memcmp(a[i].values.data(), b[i].values.data(), a[i].values.size() * 4) != 0)
      return false;
  return true;
}

struct Linear {
  tenon_layout layout;
  bool has_min;
  std::int64_t n, k, rows;
  tenon_epilogue epilogue = TENON_EPILOGUE_NONE;
  bool norm = false, post_norm = false, five_bits = false;
  std::string name() const {
    return "linear_group, layout " + std::to_string(layout) + (has_min ? " with min" : "") +
           (five_bits ? ", values of five bits" : "") + ", " + std::to_string(rows) + " x " +
           std::to_string(k) + " -> " + std::to_string(n) + ", epilogue " +
           std::to_string(epilogue) + (norm ? ", norm" : "") + (post_norm ? ", post norm" : "");
  }
};

// `first` rows of the case's input, so that a batch can be cut.
Result<std::vector<Matrix>> run(const BackendRig& rig, const Linear& c, std::int64_t first = 0,
                                std::int64_t rows = -1) {
  std::mt19937 random(static_cast<std::uint32_t>(c.n * 31 + c.k * 7 + c.rows));
  RandomWeight norm(TENON_LAYOUT_F32, 1, c.k, false, random),
      a(c.layout, c.n, c.k, c.has_min, random), b(c.layout, c.n, c.k, c.has_min, random),
      post(TENON_LAYOUT_F32, 1, c.n, false, random);
  if (c.five_bits) a.keep_five_bits(), b.keep_five_bits();
  TENON_TRY(norm.load(rig.table(), 0));
  TENON_TRY(a.load(rig.table(), 1));
  TENON_TRY(b.load(rig.table(), 2));
  TENON_TRY(post.load(rig.table(), 3));
  const std::uint32_t ids[] = {1, 2};
  const std::uint32_t n_weights = c.epilogue == TENON_EPILOGUE_RESIDUAL ? 1 : 2;
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, c.epilogue, c.norm ? 0 : -1, n_weights, 1e-5, ids,
      c.post_norm ? 3 : -1,       0};
  TENON_TRY(rig.table().prepare_linear_group(&group));
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
  const auto cut = [&](const Matrix& whole) {
    const std::int64_t n = rows < 0 ? whole.rows : rows;
    const auto begin = whole.values.begin() + first * whole.columns;
    return Matrix{{begin, begin + n * whole.columns}, n, whole.columns};
  };
  std::vector<Matrix> in = {cut(random_matrix(c.rows, c.k, random, 3))};
  if (c.epilogue == TENON_EPILOGUE_RESIDUAL) in.push_back(cut(random_matrix(c.rows, c.n, random)));
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {{in[0].rows, c.n}};
  if (c.epilogue == TENON_EPILOGUE_NONE) shapes.push_back({in[0].rows, c.n});
  return rig.call(&op.hdr, in, shapes);
}

std::vector<Linear> linear_cases(tenon_layout layout, bool has_min) {
  std::vector<Linear> out;
  for (const std::int64_t rows : {1, 2, 3, 5, 9, 33})
    out.push_back({layout, has_min, 48, 96, rows, TENON_EPILOGUE_NONE, true});
  for (const std::int64_t n : {1, 15, 16, 17, 31, 577})
    out.push_back({layout, has_min, n, 64, 3, TENON_EPILOGUE_RESIDUAL});
  for (const std::int64_t k : {32, 160, 576})
    out.push_back({layout, has_min, 32, k, 2, TENON_EPILOGUE_SILU_MUL, true});
  out.push_back({layout, has_min, 40, 160, 5, TENON_EPILOGUE_GELU_MUL, true});
  out.push_back({layout, has_min, 640, 64, 3, TENON_EPILOGUE_RESIDUAL, false, true});
  for (const std::int64_t rows : {1, 6})
    if (layout == TENON_LAYOUT_Q8M32)
      out.push_back({layout, has_min, 48, 96, rows, TENON_EPILOGUE_NONE, true, false, true});
  return out;
}

template <tenon_layout kLayout, bool kMin>
Finding linear(const Subject& s) {
  for (const Linear& c : linear_cases(kLayout, kMin)) {
    TENON_ASSIGN(const auto rig, open(s));
    TENON_ASSIGN(const auto exact, open_exact());
    TENON_ASSIGN(const auto got, run(*rig, c));
    TENON_ASSIGN(const auto want, run(*exact, c));
    for (std::size_t i = 0; i < want.size(); ++i)
      TENON_TRY(close(got[i], want[i], kLayout == TENON_LAYOUT_F32 ? 1e-4 : 0.08, c.name()));
  }
  return passed();
}

// A row's bits are its own: alone, in a batch, at its beginning or end.
Finding rows_alone(const Subject& s) {
  if (!exact(s)) return skipped(kNotExact);
  for (const tenon_layout layout :
       {TENON_LAYOUT_Q4M32, TENON_LAYOUT_Q8M32, TENON_LAYOUT_Q8N16, TENON_LAYOUT_F32}) {
    TENON_ASSIGN(const auto rig, open(s));
    const Linear c{layout, layout == TENON_LAYOUT_Q4M32, 48, 96, 9, TENON_EPILOGUE_NONE, true};
    TENON_ASSIGN(const auto all, run(*rig, c));
    for (std::int64_t row = 0; row < c.rows; ++row) {
      TENON_ASSIGN(const auto other, open(s));
      TENON_ASSIGN(const auto one, run(*other, c, row, 1));
      for (std::size_t i = 0; i < one.size(); ++i)
        if (std::memcmp(one[i].values.data(), all[i].values.data() + row * all[i].columns,
                        static_cast<std::size_t>(all[i].columns) * 4) != 0)
          return failed(c.name() + ": row " + std::to_string(row) +
                        " has other bits in a batch than alone");
    }
  }
  return passed();
}

Finding stripes(const Subject& s) {
  if (!exact(s)) return skipped(kNotExact);
  const Linear linear_case{TENON_LAYOUT_Q4M32, true, 577, 96, 5, TENON_EPILOGUE_NONE, true};
  const AttendCase attend{9, 3, 64, TENON_ROPE_STYLE_HALF, 64, {{127, 1}, {0, 130}}, false};
  std::vector<Matrix> want, want_attend;
  for (const std::uint32_t n : {1u, 2u, 3u, 7u}) {
    TENON_ASSIGN(const auto rig, open(s, 1 + n % 3, n));
    TENON_ASSIGN(auto got, run(*rig, linear_case));
    TENON_ASSIGN(const auto other, open(s, 1 + n % 3, n));
    TENON_ASSIGN(Matrix attended, run_attend(*other, attend));
    if (n == 1) {
      want = std::move(got);
      want_attend = {attended};
    } else if (!same_bits(got, want) || !same_bits({attended}, want_attend)) {
      return failed("bits depend on how the work is cut: " + std::to_string(n) +
                    " stripes a thread against one");
    }
  }
  return passed();
}

// Weight 0 as the only one of group 0.
Status prepare_product(const BackendRig& rig) {
  std::mt19937 random(5);
  RandomWeight weight(TENON_LAYOUT_Q8M32, 32, 64, false, random);
  TENON_TRY(weight.load(rig.table(), 0));
  const std::uint32_t id = 0;
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, TENON_EPILOGUE_NONE, -1, 1, 0, &id, -1, 0};
  return rig.table().prepare_linear_group(&group);
}

// The row that take_fault names after a product of `rows` rows of which `row` holds `value`.
Result<std::int32_t> fault_row(const BackendRig& rig, std::int64_t rows, std::int64_t row,
                               float value) {
  std::mt19937 random(6);
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
  Matrix x = random_matrix(rows, 64, random);
  if (row >= 0) x.values[static_cast<std::size_t>(row * 64 + 37)] = value;
  TENON_TRY(rig.call(&op.hdr, {x}, {{rows, 32}}));
  tenon_row_fault fault{{sizeof fault, 0, nullptr}, 7, -7};
  TENON_TRY(rig.table().take_fault(&fault));
  if (fault.row >= 0 && fault.group != 0) return -2;
  return fault.row;
}

Finding names_faults(const Subject& s) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              inf = std::numeric_limits<float>::infinity();
  TENON_ASSIGN(const auto rig, open(s));
  TENON_TRY(prepare_product(*rig));
  for (const std::int64_t rows : {1, 9})
    for (const float value : {nan, inf, -inf})
      for (const std::int64_t row : {std::int64_t{-1}, rows - 1, std::int64_t{-1}}) {
        TENON_ASSIGN(const std::int32_t named, fault_row(*rig, rows, row, value));
        if (named != row)
          return failed("of " + std::to_string(rows) + " rows, " +
                        (row < 0 ? "none" : "row " + std::to_string(row)) +
                        " holds no number, and take_fault names " + std::to_string(named));
      }
  return passed();
}

Finding gather(const Subject& s) {
  for (const tenon_layout layout :
       {TENON_LAYOUT_Q4M32, TENON_LAYOUT_Q8M32, TENON_LAYOUT_Q8N16, TENON_LAYOUT_F32}) {
    std::vector<std::vector<Matrix>> runs;
    for (const bool is_exact : {false, true}) {
      TENON_ASSIGN(const auto rig, is_exact ? open_exact() : open(s));
      std::mt19937 random(5);
      RandomWeight weight(layout, 37, 64, layout == TENON_LAYOUT_Q4M32, random);
      TENON_TRY(weight.load(rig->table(), 0));
      const std::vector<std::int32_t> ids = {0, 36, 7, 7, 15, 16};
      tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 25.3};
      TENON_ASSIGN(std::vector<Matrix> out, rig->call(&op.hdr, {}, {{6, 64}}, &ids));
      op.weight = -1;
      TENON_ASSIGN(auto of_tensor,
                   rig->call(&op.hdr, {random_matrix(37, 24, random)}, {{6, 24}}, &ids));
      out.push_back(std::move(of_tensor[0]));
      runs.push_back(std::move(out));
    }
    for (std::size_t i = 0; i < 2; ++i)
      TENON_TRY(close(runs[0][i], runs[1][i], 1e-5, "gather, layout " + std::to_string(layout)));
  }
  return passed();
}

Finding add(const Subject& s) {
  for (const bool norm : {false, true})
    for (const std::int64_t n : {1, 31, 64, 577}) {
      std::vector<Matrix> runs;
      for (const bool is_exact : {false, true}) {
        TENON_ASSIGN(const auto rig, is_exact ? open_exact() : open(s));
        std::mt19937 random(3);
        RandomWeight scale(TENON_LAYOUT_F32, 1, n, false, random);
        TENON_TRY(scale.load(rig->table(), 0));
        const tenon_op_add op{{sizeof op, TENON_OP_ADD, nullptr}, norm ? 0 : -1, 0, 1e-5};
        TENON_ASSIGN(auto out,
                     rig->call(&op.hdr, {random_matrix(5, n, random), random_matrix(5, n, random)},
                               {{5, n}}));
        runs.push_back(std::move(out[0]));
      }
      TENON_TRY(close(runs[0], runs[1], 1e-5, "add of " + std::to_string(n) + " values"));
    }
  return passed();
}

Finding attend(const Subject& s, const std::vector<AttendCase>& cases) {
  for (const AttendCase& c : cases) {
    TENON_ASSIGN(const auto rig, open(s));
    TENON_ASSIGN(const auto exact, open_exact());
    TENON_ASSIGN(const Matrix got, run_attend(*rig, c));
    TENON_ASSIGN(const Matrix want, run_attend(*exact, c));
    TENON_TRY(close(got, want, 1e-2, c.name()));
  }
  return passed();
}

constexpr auto kHalf = TENON_ROPE_STYLE_HALF;
constexpr auto kAdjacent = TENON_ROPE_STYLE_ADJACENT;

Finding attend_heads(const Subject& s) {
  return attend(s, {{1, 1, 8, TENON_ROPE_STYLE_NONE, 0, {{0, 1}}, false},
                    {9, 3, 64, kAdjacent, 64, {{0, 130}}, false},
                    {4, 4, 16, kAdjacent, 16, {{200, 1}, {10, 1}}, false},
                    {8, 1, 32, kHalf, 32, {{70, 2}}, false},
                    {2, 1, 256, kHalf, 256, {{70, 2}}, false}});
}
Finding attend_pages(const Subject& s) {
  return attend(s, {{3, 1, 32, kAdjacent, 32, {{0, 5}, {63, 1}, {64, 1}, {65, 2}}, false},
                    {9, 3, 64, kHalf, 32, {{127, 1}, {128, 1}, {0, 64}}, false},
                    {5, 1, 40, kHalf, 40, {{31, 3}, {90, 40}}, false},
                    {3, 1, 32, kAdjacent, 32, {{300, 1}}, false}});
}
Finding attend_sparse(const Subject& s) {
  return attend(s, {{3, 1, 32, kAdjacent, 32, {{260, 3}, {140, 1}}, true}});
}
Finding attend_windows(const Subject& s) {
  return attend(s, {{4, 2, 32, kHalf, 32, {{0, 200}, {150, 9}}, false, 100, true},
                    {4, 2, 32, kHalf, 32, {{300, 1}, {64, 1}, {65, 1}}, false, 64},
                    {3, 1, 32, kHalf, 32, {{200, 40}, {63, 2}}, false, 1},
                    {3, 1, 32, kHalf, 32, {{290, 2}, {127, 1}}, false, 33, true}});
}

// The free pages of every attend case are filled with NaN: one number that leaks is seen.
Finding poison(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  TENON_ASSIGN(const Matrix out,
               run_attend(*rig, {9, 3, 64, kHalf, 64, {{1, 1}, {62, 3}, {130, 1}}, false}));
  for (const float value : out.values)
    if (!std::isfinite(value)) return failed("what lies beyond a sequence's tokens is read");
  return passed();
}

// Rows of a prompt: in one call, or each after the other.
Finding split_prompt(const Subject& s) {
  if (!exact(s)) return skipped(kNotExact);
  TENON_ASSIGN(const auto whole, open(s));
  TENON_ASSIGN(const Matrix all, run_attend(*whole, {3, 1, 32, kHalf, 32, {{0, 130}}, false}));
  for (const int first : {1, 63, 64, 65, 100}) {
    TENON_ASSIGN(const auto rig, open(s));
    TENON_ASSIGN(const Matrix last,
                 run_attend_in_parts(*rig, {3, 1, 32, kHalf, 32, {{0, 130}}, false}, first));
    if (std::memcmp(last.values.data(), all.values.data(), all.values.size() * 4) != 0)
      return failed("a prompt that is cut after " + std::to_string(first) +
                    " tokens has other bits than the whole");
  }
  return passed();
}

// What a row reads does not depend on the tokens after it.
Finding causality(const Subject& s) {
  std::vector<Matrix> outs;
  for (const int rows : {40, 90}) {
    TENON_ASSIGN(const auto rig, open(s));
    TENON_ASSIGN(Matrix out, run_attend(*rig, {3, 1, 32, kHalf, 32, {{0, rows}}, false}));
    outs.push_back(std::move(out));
  }
  if (std::memcmp(outs[0].values.data(), outs[1].values.data(), outs[0].values.size() * 4) != 0)
    return failed("rows change when more tokens follow them");
  return passed();
}

Finding copied_pages(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  const AttendCase c{3, 1, 32, kAdjacent, 32, {{64, 1}}, false};
  TENON_TRY(run_attend(*rig, c));
  TENON_ASSIGN(const Matrix before, attend_one_more(*rig, c));
  const std::uint32_t page = attend_page(0, 0);
  TENON_TRY(rig->table().kv_copy_page(0, page, 60));
  TENON_TRY(rig->table().kv_poison_page(0, page));
  TENON_TRY(rig->table().kv_copy_page(0, 60, page));
  TENON_ASSIGN(const Matrix after, attend_one_more(*rig, c));
  return std::memcmp(before.values.data(), after.values.data(), before.values.size() * 4) == 0
             ? passed()
             : failed("a page that was copied there and back reads differently");
}

Finding sample(const Subject& s) {
  std::vector<std::vector<tenon_sample_result>> runs;
  std::vector<std::vector<tenon_token_logprob>> tops;
  for (const bool is_exact : {false, true}) {
    TENON_ASSIGN(const auto rig, is_exact ? open_exact() : open(s));
    std::mt19937 random(3);
    const Matrix logits = random_matrix(6, 1003, random, 4);
    const tenon_sample_adjust adjust[] = {{5, 1.3f, -1}, {700, 1, 8}};
    std::vector<tenon_sample_row> rows(6, tenon_sample_row{11, 3, -1, 0, 0, 1, 0, 0, 4, nullptr});
    rows[1].target = 77;
    rows[2].temperature = 0.8f;
    rows[3] = {12, 9, -1, 1.2f, 40, 0.9f, 0.01f, 2, 4, adjust};
    rows[4] = {13, 9, -1, 1.0f, 0, 0.7f, 0, 0, 4, nullptr};
    rows[5] = {14, 9, -1, 0, 0, 1, 0, 2, 4, adjust};
    tops.emplace_back(24);
    runs.emplace_back();
    for (int i = 0; i < 6; ++i) runs.back().push_back({-1, 0, tops.back().data() + 4 * i});
    const tenon_op_sample op{
        {sizeof op, TENON_OP_SAMPLE, nullptr}, rows.data(), runs.back().data()};
    TENON_TRY(rig->call(&op.hdr, {logits}, {}));
  }
  for (std::size_t i = 0; i < 6; ++i)
    if (runs[0][i].token != runs[1][i].token ||
        std::abs(runs[0][i].logprob - runs[1][i].logprob) > 1e-3f)
      return failed("row " + std::to_string(i) + ": token " + std::to_string(runs[0][i].token) +
                    ", the definition gives " + std::to_string(runs[1][i].token));
  for (std::size_t i = 0; i < 24; ++i)
    if (tops[0][i].token != tops[1][i].token)
      return failed("the most likely tokens come in another order");
  return passed();
}

Finding outside(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  std::mt19937 random(5);
  RandomWeight weight(TENON_LAYOUT_F32, 4, 8, false, random);
  TENON_TRY(weight.load(rig->table(), 0));
  const tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 1};
  for (const std::int32_t id : {4, -1, 1 << 30}) {
    const std::vector<std::int32_t> ids = {id};
    if (rig->call(&op.hdr, {}, {{1, 8}}, &ids).ok())
      return failed("gather of row " + std::to_string(id) + " of 4 is no error");
  }
  return passed();
}

Finding unknown_op(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  const tenon_hdr op{sizeof op, 9999, nullptr};
  const auto done = rig->call(&op, {}, {});
  if (done.ok()) return failed("an op that it does not know is no error");
  return passed();
}

Finding says(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  tenon_backend_info info{};
  info.hdr = {sizeof info, 0, nullptr};
  TENON_TRY(rig->table().describe(&info));
  if (info.device.len == 0 || info.numerics.len == 0)
    return failed("describe() names no device or no numerics");
  if (info.activation.code != 2 || (info.activation.bits != 32 && info.activation.bits != 64))
    return failed("activations are neither 32-bit nor 64-bit floats");
  return passed();
}

Finding aligned(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  std::vector<void*> blocks;
  for (const std::uint64_t bytes : {1u, 63u, 64u, 4096u, 1000001u}) {
    void* memory = nullptr;
    TENON_TRY(rig->table().allocate(bytes, &memory));
    if (reinterpret_cast<std::uintptr_t>(memory) % 64 != 0)
      return failed("allocate() gives memory that is not aligned to 64 bytes");
    std::vector<char> pattern(bytes, 'x'), back(bytes);
    TENON_TRY(rig->table().write(memory, pattern.data(), bytes));
    TENON_TRY(rig->table().read(memory, back.data(), bytes));
    if (pattern != back) return failed("read() does not give what write() wrote");
    blocks.push_back(memory);
  }
  for (void* memory : blocks) rig->table().free(memory);
  rig->table().free(nullptr);
  return passed();
}

Finding weights_come_and_go(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  rig->table().free_weight(12345);
  for (int round = 0; round < 20; ++round) {
    std::mt19937 random(static_cast<std::uint32_t>(round));
    RandomWeight weight(TENON_LAYOUT_F32, 8, 16, false, random);
    TENON_TRY(weight.load(rig->table(), 5));
    const std::vector<std::int32_t> ids = {7};
    const tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 5, 0, 1};
    TENON_ASSIGN(const auto out, rig->call(&op.hdr, {}, {{1, 16}}, &ids));
    for (std::size_t i = 0; i < 16; ++i)
      if (out[0].values[i] != weight.floats[7 * 16 + i])
        return failed("an id that was loaded again gives the old weight");
    rig->table().free_weight(5);
    rig->table().free_weight(5);
  }
  return passed();
}

constexpr Test kTests[] = {
    {"backend.describe", "It says what it is.", "backend", says},
    {"backend.memory", "Its memory is aligned and keeps what is written.", "backend", aligned},
    {"backend.weights", "Weights come and go under one id.", "backend", weights_come_and_go},
    {"backend.unknown-op", "An unknown op is an error.", "backend", unknown_op},
    {"backend.outside", "A row outside of a table is an error.", "backend", outside},
    {"backend.faults", "A row that is no numbers is named once.", "backend", names_faults},
    {"numeric.gather", "gather, every layout.", "backend", gather},
    {"numeric.linear-q4m32", "linear_group on 4 bits with min, edge shapes.", "backend",
     linear<TENON_LAYOUT_Q4M32, true>},
    {"numeric.linear-q8m32", "On 8 bits.", "backend", linear<TENON_LAYOUT_Q8M32, false>},
    {"numeric.linear-q8m32-min", "On 8 bits with min.", "backend",
     linear<TENON_LAYOUT_Q8M32, true>},
    {"numeric.linear-q8n16", "On 8 bits in groups of 16.", "backend",
     linear<TENON_LAYOUT_Q8N16, false>},
    {"numeric.linear-f32", "On floats.", "backend", linear<TENON_LAYOUT_F32, false>},
    {"numeric.add", "add, with and without norm.", "backend", add},
    {"numeric.attend-heads", "attend: head counts and sizes.", "backend", attend_heads},
    {"numeric.attend-pages", "attend: ragged sequences at the edges of pages.", "backend",
     attend_pages},
    {"numeric.attend-sparse", "attend: some pages of a sequence.", "backend", attend_sparse},
    {"numeric.attend-windows", "attend: windows and norms of heads.", "backend", attend_windows},
    {"numeric.poison", "Nothing is read beyond a sequence's tokens.", "backend", poison},
    {"numeric.causality", "Rows do not see what follows them.", "backend", causality},
    {"numeric.rows", "A row's bits do not depend on its batch.", "backend", rows_alone},
    {"numeric.split-prompt", "A prompt in parts has the bits of the whole.", "backend",
     split_prompt},
    {"numeric.sample", "Sampling as it is defined.", "backend", sample},
    {"state.pages", "A copied page reads the same.", "backend", copied_pages},
    {"determinism.stripes", "Bits do not depend on threads and stripes.", "backend", stripes},
};

}  // namespace

std::span<const Test> backend_tests() { return kTests; }

}  // namespace tenon::conform
