// The inner loops, one table per instruction set. Every table computes the same bits
// (tenon/abi/contract.h).
#pragma once

#include <algorithm>

#include "attend_kernels.h"
#include "packed.h"

namespace tenon::cpu {

struct Kernels {
  const char* name;

  // One row of a linear group's input: y = x, or the RMS norm of x where `norm` is given.
  // `quantise` fills the int8 side of row `row`, else floats; `keep` with a norm fills both. False:
  // a value is no number or too large, and what was filled in is of no use.
  bool (*prepare_row)(const float* x, const float* norm, float eps, bool quantise, bool keep,
                      const Activations& out, std::int64_t row);

  // out[r, 0..16) = tile . activations[row + r] for r < rows <= kRowBlock, by layout. `next`: as
  // many bytes as the tile has, which are read soon, or null; they come while this one works.
  using Product = void (*)(const std::byte* tile, const std::byte* next, const PackedWeight& weight,
                           const Activations& in, std::int64_t row, int rows, float* out);
  Product product_q4, product_q8, product_q8n16, product_f32;

  // A tile of five bits as one of eight, for products of many rows; null where that gains nothing.
  void (*widen)(const std::byte* tile, const PackedWeight& weight, std::byte* out);

  // Low-rank deltas. out[c][0..8) = a[c] . x[c] for c < count <= 4, each output one chain along k;
  // a[c]: halves [k, 8]; x[c]: [k].
  void (*low_rank_in)(const std::uint16_t* const* a, const float* const* x, std::int64_t k,
                      int count, float* const* out);
  // y[0..16) += scale * (b . t); b: halves [rank, 16]; t: [rank].
  void (*low_rank_out)(const std::uint16_t* b, const float* t, std::int64_t rank, float scale,
                       float* y);

  // gate = silu(gate) * up, or gelu(gate) * up, over n values, a multiple of 16.
  void (*silu_mul)(float* gate, const float* up, std::int64_t n);
  void (*gelu_mul)(float* gate, const float* up, std::int64_t n);

  // The loops of sampling over all n logits (tenon/sdk/sample.hpp).
  float (*most)(const float* x, std::int64_t n);
  float (*exp_sum)(const float* x, std::int64_t n, float top);
  void (*exps)(const float* x, std::int64_t n, float top, float* out);

  // out = the RMS norm of x, n values; out may be x.
  void (*norm)(const float* x, const float* norm, float eps, std::int64_t n, float* out);

  const AttendKernels* attend;
};

// Calls f<R>() for R = rows in [1, Most]: kernels keep the sums of R of them in registers.
template <int Most, class F>
void for_rows(int rows, F&& f) {
  if constexpr (Most > 1)
    if (rows < Most) return for_rows<Most - 1>(rows, f);
  return f.template operator()<Most>();
}

// Calls f<R>(row, next, out) for blocks of up to `Most` rows, whose sums fit the registers. The
// last block of more than one row asks for what is next.
template <int Most = 4, class F>
void in_blocks(std::int64_t row, const std::byte* next, int rows, float* out, F&& f) {
  for (; rows > 0; row += Most, rows -= Most, out += Most * kTile)
    for_rows<Most>(std::min(rows, Most), [&]<int R>() {
      f.template operator()<R>(row, rows <= Most + 1 ? next : nullptr, out);
    });
}

// Asks for the next bytes at `next`, unless it is null, into the second level of cache. A kernel of
// one row does not: it waits for memory anyway, and asking for more than the machine does by itself
// took a tenth longer; eight rows took two thirds of the time.
template <int R>
void ask(const std::byte*& next, std::int64_t bytes) {
  if constexpr (R > 1) {
    if (next == nullptr) return;
    for (std::int64_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(next + i, 0, 2);
    next += bytes;
  }
}

const Kernels& avx2_kernels();
const Kernels& avx512vnni_kernels();

}  // namespace tenon::cpu
