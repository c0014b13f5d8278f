#include "attend_cut.h"

#include <algorithm>

namespace tenon::cpu {
namespace {

// Rows of a tile, so that every thread has some.
std::int32_t tile_rows_of(std::int64_t rows, std::int64_t kv_heads, std::int64_t threads) {
  std::int32_t out = kTileRows;
  while (out > 1 && rows * kv_heads < out * 4 * threads) out /= 2;
  return out;
}

}  // namespace

std::int32_t page_from(const tenon_read_pages& read, std::int64_t index) {
  if (read.page_index == nullptr)
    return static_cast<std::int32_t>(
        std::clamp<std::int64_t>(index - read.first_index, 0, read.n_pages));
  return static_cast<std::int32_t>(
      std::lower_bound(read.page_index, read.page_index + read.n_pages, index) - read.page_index);
}

AttendCut cut_attend(const tenon_op_attend& op, std::int32_t window, std::int32_t kv_heads,
                     std::int32_t threads, std::int32_t stripes_per_thread) {
  AttendCut out{op.batch, op.read_set, window, kv_heads, kTileRows, 1, 0, 0, false};
  std::int64_t many_rows = 0;
  for (std::int32_t s = 0; s < op.batch->n_sequences; ++s)
    if (!is_few(op.batch->sequences[s])) many_rows += op.batch->sequences[s].n_rows;
  out.many = many_rows > 0;
  out.tile_rows = tile_rows_of(many_rows, kv_heads, threads);
  std::int64_t parts = 0;
  cut::for_tiles(out, [&](const AttendPiece& tile) {
    const std::int64_t pages = tile.end - tile.first, cells = tile.rows * pages;
    const bool few = is_few(op.batch->sequences[tile.sequence]);
    out.cost += cells;
    parts += few ? pages : 1;
    if (few) out.slot_cells = std::max(out.slot_cells, cells);
    return true;
  });
  // One thread gains nothing by sharing a tile.
  const std::int64_t most = threads > 1 ? std::int64_t{threads} * stripes_per_thread : 1;
  out.stripes = static_cast<std::int32_t>(std::clamp<std::int64_t>(parts, 1, most));
  return out;
}

}  // namespace tenon::cpu
