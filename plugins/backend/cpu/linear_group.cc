#include "linear_group.h"

#include <algorithm>

namespace tenon::cpu {
namespace {

constexpr std::size_t kMaxWeights = 4;
// Rows whose prepared values stay in the first cache while a stripe's tiles pass.
constexpr std::int64_t kRowChunk = 32;
// Rows of a piece of work: they and a tile stay in the second cache, and enough pieces are left
// that threads finish together.
constexpr std::int64_t kRowBand = 128;
// Up to so many rows every thread prepares for itself: that costs less than a command more.
constexpr std::int64_t kOwnRows = 8;
// From so many rows on a tile of five bits is worth unpacking into memory.
constexpr std::int64_t kWidenRows = 16;

struct PrepareArgs {
  const Kernels* kernels;
  const LinearGroup* group;
  const float* x;
  std::int64_t rows;
  bool keep;  // the normed rows as floats, for deltas
  sdk::RowFaults* faults;
};

void prepare_row(const PrepareArgs& a, const Activations& room, std::int64_t r) {
  const bool quantise = a.group->weights[0]->layout != TENON_LAYOUT_F32;
  if (!a.kernels->prepare_row(a.x + r * room.k, a.group->norm, a.group->norm_eps, quantise, a.keep,
                              room, r))
    a.faults->note(a.group->id, r);
}

struct PrepareCommand {
  PrepareArgs prepare;
  Activations room;
};

void prepare_rows(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& [prepare, room] = *static_cast<const PrepareCommand*>(raw);
  const std::int64_t end = prepare.rows * (stripe + 1) / stripes;
  for (std::int64_t r = prepare.rows * stripe / stripes; r < end; ++r)
    prepare_row(prepare, room, r);
}

struct ProductArgs {
  PrepareArgs prepare;
  Activations in;
  WorkerRoom* workers;
  bool prepared;         // `in` is; else every worker does it for itself
  std::uint64_t serial;  // of this call
  const float* residual;
  float* out[kMaxWeights];
  LowRankCall deltas;
  std::atomic<std::uint32_t>* finished;  // stripes, where the last one norms the rows; or null

  const Kernels& kernels() const { return *prepare.kernels; }
  const LinearGroup& group() const { return *prepare.group; }
};

// A tile as products read it.
struct Tile {
  const PackedWeight* weight;
  const std::byte* at;
  const std::byte* next;  // the tile after it, as stored; or null
};

Tile tile_of(const ProductArgs& a, std::size_t index, std::int64_t tile) {
  const PackedWeight& w = *a.group().weights[index];
  return {&w, w.tile(tile), tile + 1 < w.tiles() ? w.tile(tile + 1) : nullptr};
}

// The tiles that make one tile of outputs: gate and up, or one.
struct OutputTile {
  std::size_t index;  // of the first's weight
  std::int64_t tile;
  Tile parts[2];
};

// `last`: the next rows take the next tile.
void product(const ProductArgs& a, const Activations& in, const OutputTile& of, int part,
             std::int64_t row, int rows, bool last, float* out) {
  const auto& [weight, at, next] = of.parts[part];
  const auto kernel = weight->layout == TENON_LAYOUT_Q4M32   ? a.kernels().product_q4
                      : weight->layout == TENON_LAYOUT_Q8M32 ? a.kernels().product_q8
                      : weight->layout == TENON_LAYOUT_Q8N16 ? a.kernels().product_q8n16
                                                             : a.kernels().product_f32;
  kernel(at, last ? next : nullptr, *weight, in, row, rows, out);
  if (a.deltas.n_deltas > 0)
    add_low_rank(a.deltas, of.index + static_cast<std::size_t>(part), of.tile, row, rows, out);
}

// A tile's outputs of a row; out may be residual. Of fixed length: with a count, as those at a
// weight's edge have one, it is no vector code and a prompt took 1.05 times as long.
void store_tile(const float* y, const float* residual, float* out) {
  float sum[kTile];  // the compiler need not think that storing one changes the next
  std::copy_n(y, kTile, sum);
  for (int c = 0; residual != nullptr && c < kTile; ++c) sum[c] = residual[c] + y[c];
  std::copy_n(sum, kTile, out);
}

// One tile of outputs for up to kRowBlock rows, through the epilogue into memory.
void finish_tile(const ProductArgs& a, const Activations& in, const OutputTile& of,
                 std::int64_t row, int rows, bool last) {
  alignas(64) float y[kRowBlock * kTile], up[kRowBlock * kTile];
  const std::int64_t n = of.parts[0].weight->n, first = row * n + of.tile * kTile,
                     count = std::min(kTile, n - of.tile * kTile);
  float* out = a.out[of.index] + first;
  const float* residual = a.residual != nullptr ? a.residual + first : nullptr;
  // Lines that the other thread may have: they come while the products run.
  for (int r = 0; r < rows; ++r) {
    __builtin_prefetch(out + r * n, 1);
    if (residual != nullptr) __builtin_prefetch(residual + r * n);
  }
  product(a, in, of, 0, row, rows, last, y);
  if (a.group().gated()) {
    const auto gate =
        a.group().epilogue == TENON_EPILOGUE_SILU_MUL ? a.kernels().silu_mul : a.kernels().gelu_mul;
    product(a, in, of, 1, row, rows, last, up);
    gate(y, up, rows * kTile);
  }
  for (int r = 0; r < rows; ++r) {
    const float* sums = y + r * kTile;
    const float* add = residual != nullptr ? residual + r * n : nullptr;
    if (count == kTile)
      store_tile(sums, add, out + r * n);
    else
      for (std::int64_t c = 0; c < count; ++c)
        out[r * n + c] = add != nullptr ? add[c] + sums[c] : sums[c];
  }
}

std::int64_t all_tiles(const LinearGroup& group) {
  if (group.gated()) return group.weights[0]->tiles();
  std::int64_t tiles = 0;
  for (const PackedWeight* w : group.weights) tiles += w->tiles();
  return tiles;
}

// The rows as this worker reads them.
Activations prepared_rows(const ProductArgs& a, std::uint32_t worker) {
  if (a.prepared) return a.in;
  WorkerRoom& own = a.workers[worker];
  const Activations room = own.rows.view(a.in.k);
  if (own.serial != a.serial) {
    for (std::int64_t r = 0; r < a.prepare.rows; ++r) prepare_row(a.prepare, room, r);
    own.serial = a.serial;
  }
  return room;
}

struct AddArgs {
  const Kernels* kernels;
  const float *norm, *x, *r;
  float* out;
  std::int64_t rows, n;
  float eps;
};

void add_row(const AddArgs& a, std::int64_t row) {
  const std::int64_t at = row * a.n;
  const float* y = a.x + at;
  if (a.norm != nullptr) {
    a.kernels->norm(y, a.norm, a.eps, a.n, a.out + at);
    y = a.out + at;
  }
  for (std::int64_t i = 0; i < a.n; ++i) a.out[at + i] = a.r[at + i] + y[i];
}

void add_rows(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const AddArgs*>(raw);
  const std::int64_t end = a.rows * (stripe + 1) / stripes;
  for (std::int64_t row = a.rows * stripe / stripes; row < end; ++row) add_row(a, row);
}

// Whoever finishes the last stripe sees the whole rows.
void norm_finished_rows(const ProductArgs& a, std::uint32_t stripes) {
  if (a.finished->fetch_add(1, std::memory_order_acq_rel) + 1 < stripes) return;
  a.finished->store(0, std::memory_order_relaxed);
  const LinearGroup& group = a.group();
  const AddArgs add{&a.kernels(),   group.post_norm,     a.out[0],      a.residual, a.out[0],
                    a.prepare.rows, group.weights[0]->n, group.norm_eps};
  for (std::int64_t row = 0; row < add.rows; ++row) add_row(add, row);
}

// A tile of five bits becomes one of eight in `room`, which moves on.
void widen(const Kernels& kernels, Tile& tile, PackedWeight& eight, std::byte*& room) {
  if (!tile.weight->five) return;
  kernels.widen(tile.at, *tile.weight, room);
  eight = tile.weight->in_eight();
  tile = {&eight, room, tile.next};
  room += eight.tile_bytes();
}

// Calls f(output tile) for the tiles [begin, end) of all the group's weights, counted one after the
// other. `room`: for two tiles with more bits a value, or null.
template <class F>
void for_tiles(const ProductArgs& a, std::int64_t begin, std::int64_t end, std::byte* room, F&& f) {
  const LinearGroup& group = a.group();
  std::size_t index = 0;
  std::int64_t base = 0;
  PackedWeight eight[2];
  for (std::int64_t t = begin; t < end; ++t) {
    while (t - base >= group.weights[index]->tiles()) base += group.weights[index++]->tiles();
    OutputTile of{index, t - base, {tile_of(a, index, t - base), {}}};
    if (group.gated()) of.parts[1] = tile_of(a, 1, t - base);
    if (std::byte* at = room; at != nullptr) {
      widen(a.kernels(), of.parts[0], eight[0], at);
      if (group.gated()) widen(a.kernels(), of.parts[1], eight[1], at);
    }
    f(of);
  }
}

// Those tiles for a band of rows.
void multiply_band(const ProductArgs& a, const Activations& in, std::int64_t begin,
                   std::int64_t end, std::int64_t first_row, std::int64_t end_row,
                   std::byte* wide) {
  for (std::int64_t chunk = first_row; chunk < end_row; chunk += kRowChunk) {
    const std::int64_t end_chunk = std::min(end_row, chunk + kRowChunk);
    const bool many = end_chunk - chunk >= kWidenRows && a.kernels().widen != nullptr;
    for_tiles(a, begin, end, many ? wide : nullptr, [&](const OutputTile& of) {
      for (std::int64_t row = chunk; row < end_chunk; row += kRowBlock)
        finish_tile(a, in, of, row, static_cast<int>(std::min(kRowBlock, end_chunk - row)),
                    row + kRowBlock >= end_chunk);
    });
  }
}

std::int64_t bands_of(std::int64_t rows) { return (rows + kRowBand - 1) / kRowBand; }

// A stripe is a range of pieces: a tile and a band of rows, the tiles of a band one after the
// other.
void multiply(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t worker) {
  auto a = *static_cast<const ProductArgs*>(raw);
  const Activations in = prepared_rows(a, worker);
  const float* residual = a.residual;
  if (a.group().post_norm != nullptr) a.residual = nullptr;
  const std::int64_t tiles = all_tiles(a.group()), rows = a.prepare.rows,
                     pieces = tiles * bands_of(rows), end = pieces * (stripe + 1) / stripes;
  for (std::int64_t at = pieces * stripe / stripes; at < end;) {
    const std::int64_t band = at / tiles, tile = at % tiles,
                       count = std::min(tiles - tile, end - at);
    multiply_band(a, in, tile, tile + count, band * kRowBand, std::min(rows, (band + 1) * kRowBand),
                  a.workers[worker].tiles.get());
    at += count;
  }
  a.residual = residual;
  if (a.finished != nullptr) norm_finished_rows(a, stripes);
}

// Of so many values in rows of any length.
std::size_t group_count(std::int64_t values) {
  return static_cast<std::size_t>((values + TENON_GROUP - 1) / TENON_GROUP);
}

std::uint32_t stripe_count(const sdk::ThreadsService& threads, std::int64_t pieces) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      pieces, 1, std::int64_t{threads.count()} * threads.stripes_per_thread()));
}

}  // namespace

void ActivationScratch::grow(std::int64_t rows, std::int64_t k) {
  const std::int64_t values = rows * k;
  memory_ = aligned_bytes(static_cast<std::size_t>(values) * sizeof(float) +
                          group_count(values) * sizeof(ActivationGroup));
  values_ = values;  // last: what throws leaves the old room as it was
}

Activations ActivationScratch::view(std::int64_t k) const {
  const auto groups = reinterpret_cast<ActivationGroup*>(memory_.get());
  return {k, groups, reinterpret_cast<float*>(groups + group_count(values_))};
}

LinearRoom::LinearRoom(std::uint32_t workers) : workers_(workers) {}

bool LinearRoom::fits(std::int64_t rows, std::int64_t k) const {
  return rows_.fits(rows, k) && workers_[0].rows.fits(kOwnRows, k) && k <= workers_[0].tile_values;
}

void LinearRoom::grow(std::int64_t rows, std::int64_t k) {
  if (!rows_.fits(rows, k)) rows_.grow(rows, k);
  for (WorkerRoom& own : workers_) {
    if (!own.rows.fits(kOwnRows, k)) own.rows.grow(kOwnRows, k);
    if (k <= own.tile_values) continue;
    own.tiles = aligned_bytes(static_cast<std::size_t>(2 * group_count(k) * kMostGroupBytes));
    own.tile_values = k;
  }
}

void submit_linear_group(const sdk::ThreadsService& threads, const Kernels& kernels,
                         const LinearGroup& group, LinearRoom& room, LowRankCall deltas,
                         const float* x, std::int64_t rows, std::int64_t k, const float* residual,
                         float* const* out) {
  const bool adapted = deltas.n_deltas > 0, few = rows <= kOwnRows && !adapted;
  const PrepareArgs prepare{&kernels, &group, x, rows, adapted, &room.faults};
  const Activations view = room.rows(k);
  if (!few) {
    const PrepareCommand command{prepare, view};
    threads.submit(&prepare_rows, &command, sizeof command, stripe_count(threads, rows));
  }
  if (adapted) {
    deltas.x = group.norm != nullptr ? view.floats : x;
    submit_low_rank(threads, deltas);
  }
  // A post norm needs the whole row of products.
  const bool norms = group.post_norm != nullptr;
  ProductArgs args{prepare,
                   view,
                   room.workers(),
                   !few,
                   room.next_serial(),
                   residual,
                   {},
                   deltas,
                   norms && few ? &room.finished : nullptr};
  const std::size_t outs = group.gated() ? 1 : group.weights.size();
  for (std::size_t i = 0; i < outs; ++i) args.out[i] = out[i];
  const std::int64_t bands = bands_of(rows);
  threads.submit(&multiply, &args, sizeof args,
                 static_cast<std::uint32_t>(std::min(
                     all_tiles(group) * bands, bands * stripe_count(threads, all_tiles(group)))));
  if (norms && !few)
    submit_add(threads, kernels, group.post_norm, group.norm_eps, out[0], residual, rows,
               group.weights[0]->n, out[0]);
}

void submit_add(const sdk::ThreadsService& threads, const Kernels& kernels, const float* norm,
                float eps, const float* x, const float* r, std::int64_t rows, std::int64_t n,
                float* out) {
  const AddArgs args{&kernels, norm, x, r, out, rows, n, eps};
  threads.submit(&add_rows, &args, sizeof args, stripe_count(threads, rows));
}

}  // namespace tenon::cpu
