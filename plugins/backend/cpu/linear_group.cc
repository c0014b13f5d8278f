#include "linear_group.h"

#include <algorithm>

namespace tenon::cpu {
namespace {

constexpr std::size_t kMaxWeights = 4;
constexpr std::int64_t kRowChunk =
    32;  // rows whose prepared values stay in the first cache while a stripe's tiles pass

struct PrepareArgs {
  const Kernels* kernels;
  const LinearGroup* group;
  Activations room;
  const float* x;
  std::int64_t rows;
  bool keep;  // the normed rows as floats, for deltas
};

void prepare_rows(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const PrepareArgs*>(raw);
  const bool quantise = a.group->weights[0]->layout != TENON_LAYOUT_F32;
  for (std::int64_t r = stripe; r < a.rows; r += stripes)
    a.kernels->prepare_row(a.x + r * a.room.k, a.group->norm, a.group->norm_eps, quantise, a.keep,
                           a.room, r);
}

struct ProductArgs {
  const Kernels* kernels;
  const LinearGroup* group;
  Activations in;
  std::int64_t rows;
  const float* residual;
  float* out[kMaxWeights];
  LowRankCall deltas;
};

void product(const ProductArgs& a, std::size_t index, std::int64_t tile, std::int64_t row, int rows,
             float* out) {
  const PackedWeight& w = *a.group->weights[index];
  const auto kernel = w.layout == TENON_LAYOUT_Q4M32   ? a.kernels->product_q4
                      : w.layout == TENON_LAYOUT_Q8M32 ? a.kernels->product_q8
                      : w.layout == TENON_LAYOUT_Q8N16 ? a.kernels->product_q8n16
                                                       : a.kernels->product_f32;
  kernel(w.tile(tile), w, a.in, row, rows, out);
  if (a.deltas.n_deltas > 0) add_low_rank(a.deltas, index, tile, row, rows, out);
}

// One tile of outputs for up to kRowBlock rows, through the epilogue into memory.
void finish_tile(const ProductArgs& a, std::size_t index, std::int64_t tile, std::int64_t row,
                 int rows) {
  alignas(64) float y[kRowBlock * kTile], up[kRowBlock * kTile];
  const PackedWeight& w = *a.group->weights[index];
  product(a, index, tile, row, rows, y);
  if (a.group->gated()) {
    const auto gate =
        a.group->epilogue == TENON_EPILOGUE_SILU_MUL ? a.kernels->silu_mul : a.kernels->gelu_mul;
    product(a, 1, tile, row, rows, up);
    for (int r = 0; r < rows; ++r) gate(y + r * kTile, up + r * kTile, y + r * kTile);
  }
  const std::int64_t first = tile * kTile, count = std::min(kTile, w.n - first);
  for (int r = 0; r < rows; ++r) {
    const std::int64_t at = (row + r) * w.n + first;
    for (std::int64_t c = 0; c < count; ++c)
      a.out[index][at + c] =
          a.residual != nullptr ? a.residual[at + c] + y[r * kTile + c] : y[r * kTile + c];
  }
}

std::int64_t all_tiles(const LinearGroup& group) {
  if (group.gated()) return group.weights[0]->tiles();
  std::int64_t tiles = 0;
  for (const PackedWeight* w : group.weights) tiles += w->tiles();
  return tiles;
}

// A stripe is a range of the tiles of all the group's weights, one after the other.
void multiply(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& a = *static_cast<const ProductArgs*>(raw);
  const std::int64_t tiles = all_tiles(*a.group), begin = tiles * stripe / stripes,
                     end = tiles * (stripe + 1) / stripes;
  for (std::int64_t chunk = 0; chunk < a.rows; chunk += kRowChunk) {
    std::size_t index = 0;
    std::int64_t base = 0;
    for (std::int64_t t = begin; t < end; ++t) {
      while (t - base >= a.group->weights[index]->tiles())
        base += a.group->weights[index++]->tiles();
      for (std::int64_t row = chunk; row < std::min(a.rows, chunk + kRowChunk); row += kRowBlock)
        finish_tile(a, index, t - base, row, static_cast<int>(std::min(kRowBlock, a.rows - row)));
    }
  }
}

std::uint32_t stripe_count(const sdk::ThreadsService& threads, std::int64_t pieces) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      pieces, 1, std::int64_t{threads.count()} * threads.stripes_per_thread()));
}

}  // namespace

void ActivationScratch::grow(std::int64_t rows, std::int64_t k) {
  const std::int64_t values = rows * k;
  // int8 values, four 32-bit words per group, floats.
  memory_ = aligned_bytes(
      static_cast<std::size_t>(values + 4 * 4 * (values / TENON_GROUP + 64) + 4 * values + 256));
  values_ = values;  // last: what throws leaves the old room as it was
}

Activations ActivationScratch::view(std::int64_t k) const {
  std::byte* at = memory_.get();
  const std::int64_t groups = values_ / TENON_GROUP + 16;
  Activations out;
  out.k = k;
  out.floats = reinterpret_cast<float*>(at);
  out.scales = out.floats + values_;
  out.scaled_sums = out.scales + groups;
  out.sums = reinterpret_cast<std::int32_t*>(out.scaled_sums + groups);
  out.values = reinterpret_cast<std::int8_t*>(out.sums + 2 * groups);
  return out;
}

void submit_linear_group(const sdk::ThreadsService& threads, const Kernels& kernels,
                         const LinearGroup& group, const Activations& room, LowRankCall deltas,
                         const float* x, std::int64_t rows, const float* residual,
                         float* const* out) {
  const PrepareArgs prepare{&kernels, &group, room, x, rows, deltas.n_deltas > 0};
  threads.submit(&prepare_rows, &prepare, sizeof prepare, stripe_count(threads, rows));
  if (deltas.n_deltas > 0) {
    deltas.x = group.norm != nullptr ? room.floats : x;
    submit_low_rank(threads, deltas);
  }
  // A post norm needs the whole row of products: it is a command of its own.
  const bool norms = group.post_norm != nullptr;
  ProductArgs args{&kernels, &group, room, rows, norms ? nullptr : residual, {}, deltas};
  const std::size_t outs = group.gated() ? 1 : group.weights.size();
  for (std::size_t i = 0; i < outs; ++i) args.out[i] = out[i];
  threads.submit(&multiply, &args, sizeof args, stripe_count(threads, all_tiles(group)));
  if (norms)
    submit_add(threads, kernels, group.post_norm, group.norm_eps, out[0], residual, rows,
               group.weights[0]->n, out[0]);
}

void submit_add(const sdk::ThreadsService& threads, const Kernels& kernels, const float* norm,
                float eps, const float* x, const float* r, std::int64_t rows, std::int64_t n,
                float* out) {
  struct Args {
    const Kernels* kernels;
    const float *norm, *x, *r;
    float* out;
    std::int64_t rows, n;
    float eps;
  };
  const Args args{&kernels, norm, x, r, out, rows, n, eps};
  const auto add = [](const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
    const auto& a = *static_cast<const Args*>(raw);
    for (std::int64_t row = stripe; row < a.rows; row += stripes) {
      const std::int64_t at = row * a.n;
      const float* y = a.x + at;
      if (a.norm != nullptr) {
        a.kernels->norm(y, a.norm, a.eps, a.n, a.out + at);
        y = a.out + at;
      }
      for (std::int64_t i = 0; i < a.n; ++i) a.out[at + i] = a.r[at + i] + y[i];
    }
  };
  threads.submit(add, &args, sizeof args, stripe_count(threads, rows));
}

}  // namespace tenon::cpu
