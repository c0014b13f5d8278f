#include "attend.h"

#include <algorithm>
#include <optional>

namespace tenon::cpu {
namespace {

constexpr int kMaxDim = 256;  // of a head; checked when the backend is prepared

struct AttendArgs {
  const Kernels* kernels;
  const AttendSetup* setup;
  const AttendSetup::Layer* layer;
  const KvPool* pool;
  std::int32_t spec_layer;
  AttendCut cut;
  std::int64_t tile_floats, slot_floats;
  float *tiles, *partials;
  std::atomic<std::int32_t>* done;
  const float *q, *k, *v;
  float* out;

  const tenon_sequence_rows& sequence(const AttendPiece& piece) const {
    return cut.batch->sequences[piece.sequence];
  }
  const tenon_read_pages& read(const AttendPiece& piece) const {
    return cut.read_set->sequences[piece.sequence];
  }
};

// Query heads that share a key-value head.
int heads_of(const tenon_attention_geometry& g) { return g.q_heads / g.kv_heads; }

// Heads of one position, normed where the layer says so, then turned.
void turn(const AttendArgs& a, const float* norm, float* x, int heads, std::int64_t position) {
  const tenon_attention_geometry& g = a.setup->geometry;
  for (int h = 0; norm != nullptr && h < heads; ++h)
    a.kernels->norm(x + h * g.head_dim, norm, static_cast<float>(g.norm_eps), g.head_dim,
                    x + h * g.head_dim);
  a.kernels->attend->turn(x, heads, g.head_dim, a.layer->rope + position * g.rope_dims, g.rope_dims,
                          g.rope_style);
}

// K (turned) and V of `count` rows from `row` on, whose slots are neighbours, go into their page.
void store_rows(const AttendArgs& a, const tenon_sequence_rows& sequence, int kv_head,
                std::int32_t row, int count) {
  const tenon_attention_geometry& g = a.setup->geometry;
  const std::int64_t dim = g.head_dim, width = g.kv_heads * dim,
                     position = std::int64_t{sequence.position} + row,
                     slot = position % TENON_PAGE_TOKENS,
                     from = (std::int64_t{sequence.row} + row) * width + kv_head * dim;
  const std::uint32_t page = sequence.pages[position / TENON_PAGE_TOKENS];
  alignas(64) float turned[kStoreRows * kMaxDim];
  for (int i = 0; i < count; ++i) {
    std::copy_n(a.k + from + i * width, dim, turned + i * dim);
    turn(a, a.layer->k_norm, turned + i * dim, 1, position + i);
    a.kernels->attend->store_values(
        a.v + from + i * width, g.head_dim,
        a.pool->head(page, a.spec_layer, 1, kv_head) + (slot + i) * dim);
  }
  a.kernels->attend->store_keys(turned, count, g.head_dim,
                                a.pool->head(page, a.spec_layer, 0, kv_head) + slot);
}

// Pages that a sequence's rows go into, at least one of them in part.
std::int64_t pages_written(const tenon_sequence_rows& sequence) {
  return (sequence.position % TENON_PAGE_TOKENS + sequence.n_rows + TENON_PAGE_TOKENS - 1) /
         TENON_PAGE_TOKENS;
}

// The rows of sequences of many rows, by page and key-value head.
void store_many(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  std::int64_t pieces = 0, piece = 0;
  for (std::int32_t s = 0; s < a.cut.batch->n_sequences; ++s)
    if (const tenon_sequence_rows& sequence = a.cut.batch->sequences[s]; !is_few(sequence))
      pieces += pages_written(sequence) * a.cut.kv_heads;
  const std::int64_t begin = pieces * stripe / stripes, end = pieces * (stripe + 1) / stripes;
  for (std::int32_t s = 0; s < a.cut.batch->n_sequences; ++s) {
    const tenon_sequence_rows& sequence = a.cut.batch->sequences[s];
    if (is_few(sequence)) continue;
    for (std::int32_t row = 0, rows; row < sequence.n_rows; row += rows) {
      const std::int32_t slot = (sequence.position + row) % TENON_PAGE_TOKENS;
      rows = std::min(TENON_PAGE_TOKENS - slot, sequence.n_rows - row);
      for (int kv = 0; kv < a.cut.kv_heads; ++kv, ++piece) {
        if (piece < begin || piece >= end) continue;
        for (std::int32_t i = 0; i < rows; i += kStoreRows)
          store_rows(a, sequence, kv, row + i, std::min(kStoreRows, rows - i));
      }
    }
  }
}

// The rows of a tile of few rows that go with this read page: those of its page, and of the pages
// before it that are not read; those of pages behind the last one go with the first. So each row is
// stored by one stripe, before that reads it.
void store_few(const AttendArgs& a, const AttendPiece& tile, std::int32_t p) {
  const tenon_sequence_rows& sequence = a.sequence(tile);
  const tenon_read_pages& read = a.read(tile);
  if (p != tile.first && index_of(read, p) < sequence.position / TENON_PAGE_TOKENS) return;
  for (std::int32_t row = 0; row < sequence.n_rows; ++row) {
    const std::int32_t at = page_from(read, (sequence.position + row) / TENON_PAGE_TOKENS);
    if (p == (at < tile.end ? at : tile.first)) store_rows(a, sequence, tile.kv_head, row, 1);
  }
}

// Of the read set's page p, what a row at `position` reads.
PageKeys keys_of(const AttendArgs& a, const tenon_read_pages& read, std::int32_t p,
                 std::int64_t position) {
  const std::int64_t first = std::int64_t{index_of(read, p)} * TENON_PAGE_TOKENS;
  const std::int64_t oldest = a.layer->window > 0 ? position - a.layer->window + 1 : 0;
  return {static_cast<int>(std::clamp<std::int64_t>(oldest - first, 0, TENON_PAGE_TOKENS)),
          static_cast<int>(std::clamp<std::int64_t>(position - first + 1, 0, TENON_PAGE_TOKENS)),
          0};
}

// What two neighbouring rows read as one block: the second at most one key more. Else nothing.
std::optional<PageKeys> keys_of_both(const PageKeys& first, const PageKeys& second, int heads) {
  if (first.from != second.from || first.from >= first.valid || second.valid > first.valid + 1)
    return {};
  return PageKeys{first.from, first.valid, second.valid > first.valid ? heads : 0};
}

// Calls f(first query, count, keys) for a tile's queries in blocks: of all rows where they read the
// same keys of the page, else of two rows or one.
template <class F>
void for_blocks(const AttendArgs& a, const AttendPiece& tile, std::int32_t p, F&& f) {
  const int heads = heads_of(a.setup->geometry), queries = tile.rows * heads;
  const auto range_of = [&](std::int32_t row) {
    return keys_of(a, a.read(tile), p, std::int64_t{a.sequence(tile).position} + tile.row + row);
  };
  const auto in_blocks = [&](int first, int count, const PageKeys& keys) {
    const int blocks = (count + kQueryBlock - 1) / kQueryBlock,
              size = (count + blocks - 1) / blocks;
    for (int i = 0; i < count && keys.from < keys.end(); i += size)
      f(first + i, std::min(size, count - i), keys);
  };
  if (const PageKeys all = range_of(0); all == range_of(tile.rows - 1))
    return in_blocks(0, queries, all);
  for (std::int32_t row = 0; row < tile.rows; ++row) {
    const PageKeys keys = range_of(row);
    const auto both = row + 1 < tile.rows && 2 * heads <= kQueryBlock
                          ? keys_of_both(keys, range_of(row + 1), heads)
                          : std::nullopt;
    in_blocks(row * heads, both ? 2 * heads : heads, both ? *both : keys);
    row += both ? 1 : 0;
  }
}

// A worker's room for a tile, or a shared tile's for one page. A query is a row and one of the
// heads of the tile's key-value head.
struct Queries {
  float* q;
  float* totals;
  ChunkState* states;
};
Queries worker_tile(const AttendArgs& a, std::uint32_t worker) {
  const std::int64_t queries = std::int64_t{kTileRows} * heads_of(a.setup->geometry),
                     values = queries * a.setup->geometry.head_dim;
  float* q = a.tiles + worker * a.tile_floats;
  return {q, q + values, reinterpret_cast<ChunkState*>(q + 2 * values)};
}
Queries partial_of(const AttendArgs& a, const AttendPiece& piece, std::int32_t p) {
  const std::int64_t queries = std::int64_t{piece.rows} * heads_of(a.setup->geometry),
                     dim = a.setup->geometry.head_dim, stride = (queries * (dim + 2) + 15) & -16;
  float* totals = a.partials + piece.slot * a.slot_floats + (p - piece.first) * stride;
  return {nullptr, totals, reinterpret_cast<ChunkState*>(totals + queries * dim)};
}

void turn_queries(const AttendArgs& a, const AttendPiece& tile, float* q) {
  const tenon_attention_geometry& g = a.setup->geometry;
  const std::int64_t heads = heads_of(g), values = heads * g.head_dim;
  for (std::int32_t r = 0; r < tile.rows; ++r) {
    const std::int64_t row = std::int64_t{tile.row} + r;
    std::copy_n(a.q + ((a.sequence(tile).row + row) * g.kv_heads + tile.kv_head) * values, values,
                q + r * values);
    turn(a, a.layer->q_norm, q + r * values, static_cast<int>(heads),
         a.sequence(tile).position + row);
  }
}

void start(const AttendArgs& a, const AttendPiece& tile, const Queries& to) {
  const std::int64_t queries = std::int64_t{tile.rows} * heads_of(a.setup->geometry);
  std::fill_n(to.states, queries, ChunkState{-__builtin_inff(), 0});
  std::fill_n(to.totals, queries * a.setup->geometry.head_dim, 0.0f);
}

void write_out(const AttendArgs& a, const AttendPiece& tile, const Queries& from) {
  const tenon_attention_geometry& g = a.setup->geometry;
  const std::int64_t heads = heads_of(g), dim = g.head_dim;
  for (std::int64_t r = 0; r < tile.rows; ++r)
    for (std::int64_t h = 0; h < heads; ++h) {
      const float* total = from.totals + (r * heads + h) * dim;
      const float sum = from.states[r * heads + h].sum;
      float* out =
          a.out +
          ((a.sequence(tile).row + tile.row + r) * g.q_heads + tile.kv_head * heads + h) * dim;
      for (std::int64_t d = 0; d < dim; ++d) out[d] = total[d] / sum;
    }
}

// The pages of a shared tile, in their order.
void fold_partials(const AttendArgs& a, const AttendPiece& tile, const Queries& to) {
  const int dim = a.setup->geometry.head_dim;
  for (std::int32_t p = tile.first; p < tile.end; ++p) {
    const Queries partial = partial_of(a, tile, p);
    for_blocks(a, tile, p, [&](int first, int count, const PageKeys&) {
      for (int i = first; i < first + count; ++i)
        a.kernels->attend->fold(to.states[i], to.totals + i * dim, partial.states[i],
                                partial.totals + i * dim, dim);
    });
  }
}

void attend_piece(const AttendArgs& a, const AttendPiece& piece, std::uint32_t worker) {
  const int dim = a.setup->geometry.head_dim;
  const float scale = static_cast<float>(a.setup->geometry.scale);
  const Queries tile = worker_tile(a, worker);
  const bool is_shared = piece.slot >= 0, few = is_few(a.sequence(piece));
  turn_queries(a, piece, tile.q);
  start(a, piece, tile);
  for (std::int32_t p = piece.begin; p < piece.finish; ++p) {
    const std::uint32_t page = a.read(piece).pages[p];
    const std::uint16_t *k = a.pool->head(page, a.spec_layer, 0, piece.kv_head),
                        *v = a.pool->head(page, a.spec_layer, 1, piece.kv_head);
    const std::uint32_t next_page = a.read(piece).pages[std::min(p + 1, piece.finish - 1)];
    const std::uint16_t* next = a.pool->head(next_page, a.spec_layer, 0, piece.kv_head);
    const Queries to = is_shared ? partial_of(a, piece, p) : tile;
    if (is_shared) start(a, piece, to);
    if (few) store_few(a, piece, p);
    for_blocks(a, piece, p, [&](int first, int count, const PageKeys& keys) {
      a.kernels->attend->chunk(tile.q + first * dim, count, dim, k, v, next, keys, scale,
                               to.states + first, to.totals + first * dim);
    });
  }
  if (is_shared) {
    const std::int32_t pages = piece.finish - piece.begin;
    std::atomic<std::int32_t>& done = a.done[piece.slot];
    if (done.fetch_add(pages, std::memory_order_acq_rel) + pages != piece.end - piece.first) return;
    done.store(0, std::memory_order_relaxed);
    fold_partials(a, piece, tile);
  }
  write_out(a, piece, tile);
}

void attend(const void* raw, std::uint32_t stripe, std::uint32_t, std::uint32_t worker) {
  const auto& a = *static_cast<const AttendArgs*>(raw);
  for_pieces(a.cut, static_cast<std::int32_t>(stripe),
             [&](const AttendPiece& piece) { attend_piece(a, piece, worker); });
}

// Floats that a slot has for each row and page of its tile, and room to align a page.
std::int64_t slot_floats(const tenon_attention_geometry& g, const AttendCut& cut) {
  return cut.slot_cells * (std::int64_t{heads_of(g)} * (g.head_dim + 2) + 16);
}

}  // namespace

AttendRoom attend_room(const tenon_attention_geometry& g, const sdk::ThreadsService& threads) {
  AttendRoom out;
  out.tile_floats = (std::int64_t{kTileRows} * heads_of(g) * 2 * (g.head_dim + 1) + 15) & -16;
  out.tiles = aligned_bytes(static_cast<std::size_t>(threads.count() * out.tile_floats) * 4);
  out.done = std::make_unique<std::atomic<std::int32_t>[]>(std::size_t{threads.count()} *
                                                           threads.stripes_per_thread());
  return out;
}

AttendCut cut_attend(const AttendSetup& setup, const tenon_op_attend& op,
                     const sdk::ThreadsService& threads) {
  return cut_attend(op, setup.layers[static_cast<std::size_t>(op.layer)].window,
                    setup.geometry.kv_heads, static_cast<std::int32_t>(threads.count()),
                    static_cast<std::int32_t>(threads.stripes_per_thread()));
}

std::int64_t partial_floats(const AttendSetup& setup, const AttendCut& cut) {
  return (cut.stripes - 1) * slot_floats(setup.geometry, cut);
}

void submit_attend(const sdk::ThreadsService& threads, const Kernels& kernels,
                   const AttendSetup& setup, const tenon_op_attend& op, const AttendCut& cut,
                   const AttendRoom& room, const float* q, const float* k, const float* v,
                   float* out) {
  const AttendSetup::Layer& layer = setup.layers[static_cast<std::size_t>(op.layer)];
  const AttendArgs args{&kernels,
                        &setup,
                        &layer,
                        &setup.pools[static_cast<std::size_t>(layer.spec)],
                        op.spec_layer,
                        cut,
                        room.tile_floats,
                        slot_floats(setup.geometry, cut),
                        reinterpret_cast<float*>(room.tiles.get()),
                        reinterpret_cast<float*>(room.partials.get()),
                        room.done.get(),
                        q,
                        k,
                        v,
                        out};
  const auto stripes = static_cast<std::uint32_t>(cut.stripes);
  if (cut.many) threads.submit(&store_many, &args, sizeof args, stripes);
  threads.submit(&attend, &args, sizeof args, stripes);
}

}  // namespace tenon::cpu
