// How a call of attend is cut: into tiles of neighbouring rows of one sequence with one key-value
// head, and tiles of few rows further into runs of pages.
//
// Stripes take equal parts of the cost, counted in rows times pages, in one order of all tiles; so
// a stripe's pages lie one after the other. Nothing is kept: a stripe finds its pieces by walking.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tenon/abi/contract.h"
#include "tenon/abi/ops.h"

namespace tenon::cpu {

// Rows of the longest tile.
constexpr std::int32_t kTileRows = 16;
// A sequence of at most so many rows is one tile, whose pages several stripes may share.
constexpr std::int32_t kFewRows = 8;

struct AttendCut {
  const tenon_attention_batch* batch;
  const tenon_read_set* read_set;
  std::int32_t window, kv_heads;
  std::int32_t tile_rows;  // of sequences of many rows; a power of two
  std::int32_t stripes;
  std::int64_t cost;        // rows times pages of all tiles
  std::int64_t slot_cells;  // rows times pages of the largest tile that stripes may share
  bool many;                // some sequence has many rows
};

struct AttendPiece {
  std::int32_t sequence, kv_head;
  std::int32_t row, rows;      // the tile's, in the sequence
  std::int32_t first, end;     // of the read set: the pages that the tile's rows read
  std::int32_t begin, finish;  // those of this piece
  std::int32_t slot;           // of shared tiles; -1: the piece is the whole tile
};

inline bool is_few(const tenon_sequence_rows& sequence) { return sequence.n_rows <= kFewRows; }

// The position of a read page's first key, over 64.
inline std::int32_t index_of(const tenon_read_pages& read, std::int32_t p) {
  return read.page_index != nullptr ? read.page_index[p] : read.first_index + p;
}
// The first page of the read set whose index is `index` or more.
std::int32_t page_from(const tenon_read_pages& read, std::int64_t index);

AttendCut cut_attend(const tenon_op_attend& op, std::int32_t window, std::int32_t kv_heads,
                     std::int32_t threads, std::int32_t stripes_per_thread);

namespace cut {

// Calls f(piece), of whole tiles, until it returns false.
template <class F>
void for_tiles(const AttendCut& cut, F&& f) {
  for (std::int32_t s = 0; s < cut.batch->n_sequences; ++s) {
    const tenon_sequence_rows& sequence = cut.batch->sequences[s];
    const tenon_read_pages& read = cut.read_set->sequences[s];
    for (std::int32_t row = 0, rows; row < sequence.n_rows; row += rows) {
      const std::int32_t position = sequence.position + row;
      rows = sequence.n_rows;
      if (!is_few(sequence))
        rows = std::min(cut.tile_rows - position % cut.tile_rows, sequence.n_rows - row);
      const std::int64_t oldest =
          cut.window > 0 ? std::max<std::int64_t>(0, std::int64_t{position} - cut.window + 1) : 0;
      const std::int32_t first = page_from(read, oldest / TENON_PAGE_TOKENS),
                         end = page_from(read, (position + rows - 1) / TENON_PAGE_TOKENS + 1);
      for (std::int32_t kv = 0; kv < cut.kv_heads; ++kv)
        if (!f(AttendPiece{s, kv, row, rows, first, end, first, end, -1})) return;
    }
  }
}

}  // namespace cut

// Calls f(piece) for the pieces of a stripe.
template <class F>
void for_pieces(const AttendCut& cut, std::int32_t stripe, F&& f) {
  const auto start_of = [&](std::int32_t i) { return cut.cost * i / cut.stripes; };
  const std::int64_t mine = start_of(stripe), others = start_of(stripe + 1);
  std::int64_t at = 0;     // cost before this tile
  std::int32_t owner = 0;  // the stripe that has its first page
  std::int32_t slot = 0;   // shared tiles before it
  cut::for_tiles(cut, [&](AttendPiece piece) {
    const std::int64_t rows = piece.rows, pages = piece.end - piece.first;
    if (!is_few(cut.batch->sequences[piece.sequence])) {
      if (at >= mine && at < others) f(piece);
    } else {
      while (owner + 1 < cut.stripes && start_of(owner + 1) <= at) ++owner;
      // Page p's cost begins at `at + rows * p`; it is the stripe's in whose part that lies.
      const auto pages_before = [&](std::int64_t cost) {
        return static_cast<std::int32_t>(
            std::clamp<std::int64_t>((cost - at + rows - 1) / rows, 0, pages));
      };
      piece.begin = piece.first + pages_before(mine);
      piece.finish = piece.first + pages_before(others);
      const bool shared = start_of(owner + 1) <= at + rows * (pages - 1);
      if (shared) piece.slot = slot++;
      if (piece.begin < piece.finish) f(piece);
    }
    at += rows * pages;
    return at < others;
  });
}

}  // namespace tenon::cpu
