#include "core/conform/attend_case.h"

#include <algorithm>
#include <cmath>

namespace tenon::conform {
namespace {

using Matrix = BackendRig::Matrix;
using Sequences = std::vector<std::pair<int, int>>;

constexpr int kContext = 400;
constexpr std::uint32_t kPages = 64;

// Inputs of rows [first, first + rows) of a stream of random rows.
Matrix input(std::uint32_t stream, int first, int rows, std::int64_t columns, float scale) {
  std::mt19937 random(stream);
  Matrix all = random_matrix(first + rows, columns, random, scale);
  return {{all.values.begin() + first * columns, all.values.end()}, rows, columns};
}

constexpr double kBases[] = {50.0, 100.0};  // of layers

void rope_rows(void* ctx, std::int32_t layer, std::int32_t first, std::int32_t rows, double* out) {
  const auto dims = static_cast<std::int32_t>(reinterpret_cast<std::intptr_t>(ctx));
  for (std::int32_t p = first; p < first + rows; ++p)
    for (std::int32_t i = 0; i < dims / 2; ++i) {
      const double angle = p * std::pow(kBases[layer], -2.0 * i / dims);
      *out++ = std::cos(angle);
      *out++ = std::sin(angle);
    }
}

Status prepare(const BackendRig& rig, const AttendCase& c) {
  std::mt19937 random(static_cast<std::uint32_t>(c.dim + c.q_heads));
  RandomWeight q_norm(TENON_LAYOUT_F32, 1, c.dim, false, random),
      k_norm(TENON_LAYOUT_F32, 1, c.dim, false, random);
  TENON_TRY(q_norm.load(rig.table(), 0));
  TENON_TRY(k_norm.load(rig.table(), 1));
  // The two layers differ in everything; the second is attended.
  const tenon_attention_layer layers[] = {
      {kBases[0], 0, -1, -1, 0}, {kBases[1], c.window, c.norms ? 0 : -1, c.norms ? 1 : -1, 0}};
  tenon_attention_geometry geometry{};
  geometry.hdr = {sizeof geometry, 0, nullptr};
  geometry.layers = 2;
  geometry.q_heads = c.q_heads;
  geometry.kv_heads = c.kv_heads;
  geometry.head_dim = c.dim;
  geometry.rope_style = c.style;
  geometry.rope_dims = c.rope_dims;
  geometry.scale = 1 / std::sqrt(static_cast<double>(c.dim));
  geometry.norm_eps = 1e-6;
  geometry.of_layer = layers;
  const tenon_cache_spec spec{{sizeof spec, 0, nullptr}, 2, c.kv_heads, c.dim, c.window};
  const std::int32_t spec_of_layer[] = {0, 0};
  // The number itself for ctx: it has to outlive the case.
  const tenon_attend_prepare attend{
      {sizeof attend, 0, nullptr},
      &geometry,
      &spec,
      spec_of_layer,
      1,
      kContext,
      rope_rows,
      reinterpret_cast<void*>(static_cast<std::intptr_t>(c.rope_dims))};
  TENON_TRY(rig.table().prepare_attend(&attend));
  TENON_TRY(rig.table().kv_create(0, kPages));
  for (std::uint32_t page = 0; page < kPages; ++page)
    TENON_TRY(rig.table().kv_poison_page(0, page));
  return {};
}

// Attends rows of the given streams, from row `skip` of each on.
Result<Matrix> attend(const BackendRig& rig, const AttendCase& c, const Sequences& sequences,
                      bool sparse, std::uint32_t stream, int skip = 0) {
  std::vector<tenon_sequence_rows> rows;
  std::vector<tenon_read_pages> read;
  std::vector<std::vector<std::uint32_t>> pages(sequences.size()), kept(sequences.size());
  std::vector<std::vector<std::int32_t>> index(sequences.size());
  int row = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const auto& [before, count] = sequences[s];
    if (count == 0) continue;
    const int n_pages = (before + count + 63) / 64;
    const int first = c.window > 0 ? std::max(0, before - c.window + 1) / 64 : 0;
    for (int p = 0; p < n_pages; ++p) pages[s].push_back(attend_page(s, p));
    rows.push_back({row, count, before, n_pages, pages[s].data(), first, 0});
    for (int p = first; p < n_pages; ++p) {
      if (sparse && p != 0 && p != n_pages - 1) continue;
      kept[s].push_back(pages[s][static_cast<std::size_t>(p)]);
      index[s].push_back(p);
    }
    read.push_back({kept[s].data(), sparse ? index[s].data() : nullptr,
                    static_cast<std::int32_t>(kept[s].size()), first});
    row += count;
  }
  if (row == 0) return Matrix{{}, 0, 0};
  const tenon_attention_batch batch{
      {sizeof batch, 0, nullptr}, rows.data(), static_cast<std::int32_t>(rows.size()), row};
  const tenon_read_set read_set{
      {sizeof read_set, 0, nullptr}, read.data(), static_cast<std::int32_t>(read.size()), 0};
  const tenon_op_attend op{{sizeof op, TENON_OP_ATTEND, nullptr}, 1, 1, &batch, &read_set};
  TENON_ASSIGN(std::vector<Matrix> out,
               rig.call(&op.hdr,
                        {input(stream, skip, row, c.q_heads * c.dim, 2),
                         input(stream + 1, skip, row, c.kv_heads * c.dim, 1),
                         input(stream + 2, skip, row, c.kv_heads * c.dim, 1)},
                        {{row, c.q_heads * c.dim}}));
  return std::move(out[0]);
}

constexpr std::uint32_t kPast = 10, kNow = 20, kMore = 30;

}  // namespace

std::string AttendCase::name() const {
  std::string out = "attend, heads " + std::to_string(q_heads) + "/" + std::to_string(kv_heads) +
                    " dim " + std::to_string(dim) + " rope " + std::to_string(style);
  for (const auto& [before, rows] : sequences)
    out += " " + std::to_string(before) + "+" + std::to_string(rows);
  return out + (sparse ? " sparse" : "") + (norms ? " norms" : "") + " window " +
         std::to_string(window);
}

std::uint32_t attend_page(std::size_t sequence, int p) {
  return static_cast<std::uint32_t>((sequence * 8 + static_cast<std::size_t>(p) * 3 + 5) % kPages);
}

Result<Matrix> run_attend(const BackendRig& rig, const AttendCase& c) {
  TENON_TRY(prepare(rig, c));
  Sequences past;
  for (const auto& [before, rows] : c.sequences) past.push_back({0, before});
  TENON_TRY(attend(rig, c, past, false, kPast));
  for (std::size_t s = 0; s < c.sequences.size() && c.window > 0; ++s)
    for (int p = 0; p < std::max(0, c.sequences[s].first - c.window + 1) / 64; ++p)
      TENON_TRY(rig.table().kv_poison_page(0, attend_page(s, p)));
  return attend(rig, c, c.sequences, c.sparse, kNow);
}

Result<Matrix> run_attend_in_parts(const BackendRig& rig, const AttendCase& c, int first) {
  TENON_TRY(prepare(rig, c));
  TENON_ASSIGN(Matrix out, attend(rig, c, {{0, first}}, false, kNow));
  const int rows = c.sequences[0].second;
  TENON_ASSIGN(const Matrix rest, attend(rig, c, {{first, rows - first}}, false, kNow, first));
  out.values.insert(out.values.end(), rest.values.begin(), rest.values.end());
  out.rows = rows;
  return out;
}

Result<Matrix> attend_one_more(const BackendRig& rig, const AttendCase& c) {
  return attend(rig, c, {{c.sequences[0].first + c.sequences[0].second, 1}}, false, kMore);
}

}  // namespace tenon::conform
