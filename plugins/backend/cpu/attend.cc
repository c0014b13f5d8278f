#include "attend.h"

#include <immintrin.h>

#include <algorithm>

namespace tenon::cpu {
namespace {

constexpr int kMaxDim = 256;   // of a head; checked when the backend is prepared
constexpr int kHeadBlock = 4;  // query heads that a kernel takes at once

struct AttendArgs {
  const Kernels* kernels;
  const AttendSetup* setup;
  const AttendSetup::Layer* layer;
  const KvPool* pool;
  tenon_op_attend op;
  float* partials;
  std::int32_t pages;  // stride of partials: the most pages of any sequence
  const float *q, *k, *v;
  float* out;
};

// A head, normed where the layer says so, then turned.
void turn(const AttendArgs& a, const float* norm, float* head, std::int64_t position) {
  const tenon_attention_geometry& g = a.setup->geometry;
  if (norm != nullptr)
    a.kernels->norm(head, norm, static_cast<float>(g.norm_eps), g.head_dim, head);
  const float* cos_sin = a.layer->rope + position * g.rope_dims;
  const int half = g.rope_dims / 2, step = g.rope_style == TENON_ROPE_STYLE_ADJACENT ? 2 : 1,
            apart = step == 2 ? 1 : half;
  if (g.rope_style == TENON_ROPE_STYLE_NONE) return;
  for (int i = 0; i < half; ++i) {
    const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], a = head[i * step],
                b = head[i * step + apart];
    head[i * step] = __builtin_fmaf(a, c, -(b * s));
    head[i * step + apart] = __builtin_fmaf(a, s, b * c);
  }
}

std::uint16_t to_f16(float value) {
  return static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

// Phase 1, by rows: K (turned) and V of this step go into the pages.
void store(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  const tenon_attention_geometry& g = a.setup->geometry;
  const int dim = g.head_dim, width = g.kv_heads * dim;
  float turned[kMaxDim];
  for (std::int32_t s = 0; s < a.op.batch->n_sequences; ++s) {
    const tenon_sequence_rows& sequence = a.op.batch->sequences[s];
    for (std::int32_t r = 0; r < sequence.n_rows; ++r) {
      const std::int64_t row = sequence.row + r, position = sequence.position + r,
                         slot = position % TENON_PAGE_TOKENS;
      if (row % stripes != stripe) continue;
      const std::uint32_t page = sequence.pages[position / TENON_PAGE_TOKENS];
      for (int h = 0; h < g.kv_heads; ++h) {
        std::copy_n(a.k + row * width + h * dim, dim, turned);
        turn(a, a.layer->k_norm, turned, position);
        std::uint16_t* key = a.pool->head(page, a.op.spec_layer, 0, h) + slot;
        std::uint16_t* value = a.pool->head(page, a.op.spec_layer, 1, h) + slot * dim;
        for (int d = 0; d < dim; ++d) key[d * TENON_PAGE_TOKENS] = to_f16(turned[d]);
        for (int d = 0; d < dim; ++d) value[d] = to_f16(a.v[row * width + h * dim + d]);
      }
    }
  }
}

struct Place {
  std::int32_t sequence, row_in_sequence;
};

Place place_of(const tenon_attention_batch& batch, std::int64_t row) {
  std::int32_t s = 0;
  while (row >= batch.sequences[s].row + batch.sequences[s].n_rows) ++s;
  return {s, static_cast<std::int32_t>(row - batch.sequences[s].row)};
}

// Keys [from, valid) of the read set's page p are what a row at `position` reads. valid <= 0: the
// page lies behind the row, and so do the later ones; from >= 64: before its window.
struct KeyRange {
  int from, valid;
  bool behind() const { return valid <= 0; }
  bool empty() const { return from >= valid; }
};
KeyRange keys_of(const AttendArgs& a, const tenon_read_pages& read, std::int32_t p,
                 std::int64_t position) {
  const std::int64_t first =
      std::int64_t{read.page_index != nullptr ? read.page_index[p] : read.first_index + p} *
      TENON_PAGE_TOKENS;
  const std::int64_t oldest = a.layer->window > 0 ? position - a.layer->window + 1 : 0;
  return {static_cast<int>(std::clamp<std::int64_t>(oldest - first, 0, TENON_PAGE_TOKENS)),
          static_cast<int>(std::clamp<std::int64_t>(position - first + 1, 0, TENON_PAGE_TOKENS))};
}

// The query heads [first, first + count) of a row, turned.
void turned_heads(const AttendArgs& a, std::int64_t row, std::int64_t position, int first,
                  int count, float* q) {
  const tenon_attention_geometry& g = a.setup->geometry;
  std::copy_n(a.q + row * g.q_heads * g.head_dim + first * g.head_dim, count * g.head_dim, q);
  for (int h = 0; h < count; ++h) turn(a, a.layer->q_norm, q + h * g.head_dim, position);
}

void write_out(const float* total, float sum, int dim, float* out) {
  for (int d = 0; d < dim; ++d) out[d] = total[d] / sum;
}

// A block of query heads of one row over all its pages.
void attend_heads(const AttendArgs& a, std::int64_t row, int kv_head, int first, int count) {
  const tenon_attention_geometry& g = a.setup->geometry;
  const int dim = g.head_dim;
  const auto [s, r] = place_of(*a.op.batch, row);
  const std::int64_t position = a.op.batch->sequences[s].position + r;
  const tenon_read_pages& read = a.op.read_set->sequences[s];
  alignas(32) float q[kHeadBlock * kMaxDim], chunk[kHeadBlock * kMaxDim],
      total[kHeadBlock * kMaxDim] = {};
  ChunkState states[kHeadBlock], chunk_states[kHeadBlock];
  std::fill(states, states + count, ChunkState{-__builtin_inff(), 0});
  turned_heads(a, row, position, first, count, q);
  for (std::int32_t p = 0; p < read.n_pages; ++p) {
    const KeyRange keys = keys_of(a, read, p, position);
    if (keys.behind()) break;
    if (keys.empty()) continue;
    a.kernels->attend_chunk(q, count, dim, a.pool->head(read.pages[p], a.op.spec_layer, 0, kv_head),
                            a.pool->head(read.pages[p], a.op.spec_layer, 1, kv_head), keys.from,
                            keys.valid, static_cast<float>(g.scale), chunk_states, chunk);
    for (int h = 0; h < count; ++h)
      a.kernels->fold(states[h], total + h * dim, chunk_states[h], chunk + h * dim, dim);
  }
  for (int h = 0; h < count; ++h)
    write_out(total + h * dim, states[h].sum, dim, a.out + (row * g.q_heads + first + h) * dim);
}

// Calls f(kv head, first query head, count) for the query heads in blocks that share a key-value
// head.
template <class F>
void for_head_blocks(const tenon_attention_geometry& g, F&& f) {
  const int per_kv = g.q_heads / g.kv_heads;
  for (int kv = 0; kv < g.kv_heads; ++kv)
    for (int first = 0; first < per_kv; first += kHeadBlock)
      f(kv, kv * per_kv + first, std::min(kHeadBlock, per_kv - first));
}

// Phase 2, by rows. Later rows read more: stripes take every n-th row.
void attend_rows(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  for (std::int64_t row = stripe; row < a.op.batch->n_rows; row += stripes)
    for_head_blocks(a.setup->geometry,
                    [&](int kv, int first, int count) { attend_heads(a, row, kv, first, count); });
}

float* partial_of(const AttendArgs& a, std::int64_t row, int q_head, std::int32_t page) {
  const tenon_attention_geometry& g = a.setup->geometry;
  return a.partials + ((row * g.q_heads + q_head) * a.pages + page) * (g.head_dim + 8);
}

// Phase 2 of few rows over many pages: chunk states, by (row, page).
void attend_partials(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  const tenon_attention_geometry& g = a.setup->geometry;
  alignas(32) float q[kHeadBlock * kMaxDim], chunk[kHeadBlock * kMaxDim];
  ChunkState states[kHeadBlock];
  const std::int64_t pieces = std::int64_t{a.op.batch->n_rows} * a.pages;
  for (std::int64_t piece = stripe; piece < pieces; piece += stripes) {
    const std::int64_t row = piece / a.pages;
    const auto p = static_cast<std::int32_t>(piece % a.pages);
    const auto [s, r] = place_of(*a.op.batch, row);
    const tenon_read_pages& read = a.op.read_set->sequences[s];
    const std::int64_t position = a.op.batch->sequences[s].position + r;
    if (p >= read.n_pages) continue;
    const KeyRange keys = keys_of(a, read, p, position);
    if (keys.empty()) continue;
    for_head_blocks(g, [&](int kv, int first, int count) {
      turned_heads(a, row, position, first, count, q);
      a.kernels->attend_chunk(q, count, g.head_dim,
                              a.pool->head(read.pages[p], a.op.spec_layer, 0, kv),
                              a.pool->head(read.pages[p], a.op.spec_layer, 1, kv), keys.from,
                              keys.valid, static_cast<float>(g.scale), states, chunk);
      for (int h = 0; h < count; ++h) {
        float* partial = partial_of(a, row, first + h, p);
        partial[0] = states[h].most;
        partial[1] = states[h].sum;
        std::copy_n(chunk + h * g.head_dim, g.head_dim, partial + 8);
      }
    });
  }
}

// Phase 3: the partials of each (row, query head), folded in the order of pages.
void fold_partials(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  const tenon_attention_geometry& g = a.setup->geometry;
  for (std::int64_t piece = stripe; piece < std::int64_t{a.op.batch->n_rows} * g.q_heads;
       piece += stripes) {
    const std::int64_t row = piece / g.q_heads;
    const auto [s, r] = place_of(*a.op.batch, row);
    const tenon_read_pages& read = a.op.read_set->sequences[s];
    const std::int64_t position = a.op.batch->sequences[s].position + r;
    alignas(32) float total[kMaxDim] = {};
    ChunkState state{-__builtin_inff(), 0};
    for (std::int32_t p = 0; p < read.n_pages; ++p) {
      const KeyRange keys = keys_of(a, read, p, position);
      if (keys.behind()) break;
      if (keys.empty()) continue;
      const float* partial = partial_of(a, row, static_cast<int>(piece % g.q_heads), p);
      a.kernels->fold(state, total, {partial[0], partial[1]}, partial + 8, g.head_dim);
    }
    write_out(total, state.sum, g.head_dim, a.out + piece * g.head_dim);
  }
}

std::int32_t most_pages(const tenon_read_set& read_set) {
  std::int32_t most = 0;
  for (std::int32_t s = 0; s < read_set.n_sequences; ++s)
    most = std::max(most, read_set.sequences[s].n_pages);
  return most;
}

}  // namespace

void PartialScratch::grow(std::int64_t floats) {
  memory_ = aligned_bytes(static_cast<std::size_t>(floats) * 4);
  floats_ = floats;  // last: what throws leaves the old room as it was
}

std::int64_t partial_floats(const AttendSetup& setup, const tenon_op_attend& op,
                            std::uint32_t threads) {
  const std::int64_t rows = op.batch->n_rows;
  if (threads < 2 || rows >= std::int64_t{8} * threads) return 0;
  return rows * setup.geometry.q_heads * most_pages(*op.read_set) * (setup.geometry.head_dim + 8);
}

void submit_attend(const sdk::ThreadsService& threads, const Kernels& kernels,
                   const AttendSetup& setup, const tenon_op_attend& op, float* partials,
                   const float* q, const float* k, const float* v, float* out) {
  const AttendSetup::Layer& layer = setup.layers[static_cast<std::size_t>(op.layer)];
  const AttendArgs args{&kernels,
                        &setup,
                        &layer,
                        &setup.pools[static_cast<std::size_t>(layer.spec)],
                        op,
                        partials,
                        most_pages(*op.read_set),
                        q,
                        k,
                        v,
                        out};
  const std::int64_t most = std::int64_t{threads.count()} * threads.stripes_per_thread(),
                     rows = op.batch->n_rows;
  const auto stripes = [&](std::int64_t pieces) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(pieces, 1, most));
  };
  threads.submit(&store, &args, sizeof args, stripes(rows));
  if (partials == nullptr) {
    threads.submit(&attend_rows, &args, sizeof args, stripes(rows));
    return;
  }
  threads.submit(&attend_partials, &args, sizeof args, stripes(rows * args.pages));
  threads.submit(&fold_partials, &args, sizeof args, stripes(rows * setup.geometry.q_heads));
}

}  // namespace tenon::cpu
