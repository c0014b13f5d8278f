// AVX-512 VNNI: the products, 16 outputs in one register and four multiply-adds a lane and
// instruction, and the gates behind them. The rest is AVX2's.
#include <cstring>

#include "kernels.h"
#include "lanes_avx512.h"

namespace tenon::cpu {
namespace {

// The 16 scales or mins at `plane`.
template <bool Wide>
TENON_AVX512 __m512 load_plane(const std::byte* plane) {
  if constexpr (Wide) return _mm512_loadu_ps(reinterpret_cast<const float*>(plane));
  return load_halves(plane);
}

TENON_AVX512 __m512i broadcast_quad(const std::int8_t* at) {
  return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(at));
}

// A group of a tile as eight registers of unsigned values; unit u holds values 4u to 4u + 3 of each
// output.
struct Units {
  __m512i of[8];
};

TENON_AVX512 inline Units load_nibbles(const std::byte* group) {
  const __m512i low = _mm512_set1_epi8(15);
  Units out;
  for (int block = 0; block < 4; ++block) {
    const __m512i both = _mm512_loadu_si512(group + block * 64);
    out.of[block] = _mm512_and_si512(both, low);
    out.of[block + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
  }
  return out;
}

TENON_AVX512 inline Units load_fives(const std::byte* group) {
  Units out = load_nibbles(group);
  const __m512i fifth = _mm512_loadu_si512(group + 256), sixteen = _mm512_set1_epi8(16);
  for (int unit = 0; unit < 8; ++unit) {
    const __m512i bit = unit < 4 ? _mm512_slli_epi16(fifth, static_cast<unsigned>(4 - unit))
                                 : _mm512_srli_epi16(fifth, static_cast<unsigned>(unit - 4));
    out.of[unit] = _mm512_ternarylogic_epi32(out.of[unit], bit, sixteen, 0xf8);  // a | (b & c)
  }
  return out;
}

TENON_AVX512 inline void widen_group(const std::byte* group, bool has_min, std::byte* out) {
  const Units units = load_fives(group);
  const __m512i low = _mm512_set1_epi8(has_min ? 0 : 16);
  for (int unit = 0; unit < 8; ++unit)
    _mm512_storeu_si512(out + unit * 64, _mm512_sub_epi8(units.of[unit], low));
}

void widen(const std::byte* tile, const PackedWeight& w, std::byte* out) {
  const std::int64_t planes = w.group_bytes() - w.value_bytes();
  for (std::int64_t g = 0; g < w.groups(); ++g, tile += w.group_bytes(), out += 512 + planes) {
    widen_group(tile, w.has_min, out);
    std::memcpy(out + 512, tile + w.value_bytes(), static_cast<std::size_t>(planes));
  }
}

// vpdpbusd takes unsigned times signed: w + 128 is unsigned, and the sum starts at -128 * sum(x),
// which takes the shift back, exactly.
TENON_AVX512 inline Units load_shifted_bytes(const std::byte* group) {
  const __m512i shift = _mm512_set1_epi8(-128);
  Units out;
  for (int unit = 0; unit < 8; ++unit)
    out.of[unit] = _mm512_xor_si512(_mm512_loadu_si512(group + unit * 64), shift);
  return out;
}

// A group's sums with I rows: of its first 16 values, and of the others.
template <int I>
struct Sums {
  __m512i low[I], high[I];
};

// Adds the products with rows x, x + stride, ... Two rows with two chains each hide the latency of
// the instruction, and leave registers for four rows; x 1.08 over one chain a row after another.
template <int I>
TENON_AVX512 inline void add_dots(const Units& w, const ActivationGroup* x, std::int64_t stride,
                                  Sums<I>& sums) {
  for (int unit = 0; unit < 4; ++unit)
    for (int i = 0; i < I; ++i) {
      const std::int8_t* values = x[i * stride].values + 4 * unit;
      sums.low[i] = _mm512_dpbusd_epi32(sums.low[i], w.of[unit], broadcast_quad(values));
      sums.high[i] = _mm512_dpbusd_epi32(sums.high[i], w.of[unit + 4], broadcast_quad(values + 16));
    }
}

// acc + (float)sum * (scale * d)
TENON_AVX512 inline __m512 add_scaled(__m512i sum, __m512 scale, float d, __m512 acc) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(d)), acc);
}

// Calls f<I>(r) for rows r to r + I of R <= 4.
template <int R, class F>
TENON_AVX512 inline void in_pairs(F&& f) {
  f.template operator()<(R > 1 ? 2 : 1)>(0);
  if constexpr (R > 2) f.template operator()<(R > 3 ? 2 : 1)>(2);
}

template <int R, bool Wide>
TENON_AVX512 void product_q4_rows(const std::byte* tile, const std::byte* next,
                                  const PackedWeight& w, const Activations& in, std::int64_t row,
                                  float* out) {
  constexpr int kPlane = Wide ? 64 : 32;
  const std::int64_t groups = w.groups();
  const ActivationGroup* x = in.row(row);
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += 256 + 2 * kPlane) {
    ask<R>(next, 256 + 2 * kPlane);
    const Units units = load_nibbles(tile);
    const __m512 scale = load_plane<Wide>(tile + 256), min = load_plane<Wide>(tile + 256 + kPlane);
    in_pairs<R>([&]<int I>(int r) TENON_AVX512 {
      Sums<I> sums;
      for (int i = 0; i < I; ++i) sums.low[i] = sums.high[i] = _mm512_setzero_si512();
      add_dots<I>(units, x + r * groups, groups, sums);
      for (int i = 0; i < I; ++i) {
        const ActivationGroup& a = x[(r + i) * groups];
        acc[r + i] =
            add_scaled(_mm512_add_epi32(sums.low[i], sums.high[i]), scale, a.scale, acc[r + i]);
        acc_min[r + i] = _mm512_fmadd_ps(min, _mm512_set1_ps(a.scaled_sum), acc_min[r + i]);
      }
    });
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(out + r * kTile, _mm512_add_ps(acc[r], acc_min[r]));
}

// Five: values of five bits, unsigned without a shift where there are mins, else w + 16.
template <int R, bool Five, bool Wide, bool Min>
TENON_AVX512 void product_q8_rows(const std::byte* tile, const std::byte* next,
                                  const PackedWeight& w, const Activations& in, std::int64_t row,
                                  float* out) {
  constexpr int kPlane = Wide ? 64 : 32, kValues = Five ? 320 : 512;
  const std::int64_t groups = w.groups();
  const ActivationGroup* x = in.row(row);
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += kValues + (Min ? 2 : 1) * kPlane) {
    ask<R>(next, kValues + (Min ? 2 : 1) * kPlane);
    const Units units = Five ? load_fives(tile) : load_shifted_bytes(tile);
    const __m512 scale = load_plane<Wide>(tile + kValues);
    in_pairs<R>([&]<int I>(int r) TENON_AVX512 {
      Sums<I> sums;
      for (int i = 0; i < I; ++i) {
        const std::int32_t shift = x[(r + i) * groups].shift;
        sums.low[i] = _mm512_set1_epi32(!Five ? shift : Min ? 0 : shift / 8);
        sums.high[i] = _mm512_setzero_si512();
      }
      add_dots<I>(units, x + r * groups, groups, sums);
      for (int i = 0; i < I; ++i) {
        const ActivationGroup& a = x[(r + i) * groups];
        acc[r + i] =
            add_scaled(_mm512_add_epi32(sums.low[i], sums.high[i]), scale, a.scale, acc[r + i]);
        if constexpr (Min)
          acc_min[r + i] = _mm512_fmadd_ps(load_plane<Wide>(tile + kValues + kPlane),
                                           _mm512_set1_ps(a.scaled_sum), acc_min[r + i]);
      }
    });
  }
  for (int r = 0; r < R; ++r)
    _mm512_storeu_ps(out + r * kTile, Min ? _mm512_add_ps(acc[r], acc_min[r]) : acc[r]);
}

// The two halves of a group have a scale each, and a term of the chain each.
template <int R>
TENON_AVX512 void product_q8n16_rows(const std::byte* tile, const std::byte* next,
                                     const PackedWeight& w, const Activations& in, std::int64_t row,
                                     float* out) {
  const std::int64_t groups = w.groups();
  const ActivationGroup* x = in.row(row);
  __m512 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += 640) {
    ask<R>(next, 640);
    const Units units = load_shifted_bytes(tile);
    const __m512 first = load_plane<true>(tile + 512), second = load_plane<true>(tile + 576);
    in_pairs<R>([&]<int I>(int r) TENON_AVX512 {
      Sums<I> sums;
      for (int i = 0; i < I; ++i) {
        const ActivationGroup& a = x[(r + i) * groups];
        sums.low[i] = _mm512_set1_epi32(a.fine_shifts[0]);
        sums.high[i] = _mm512_set1_epi32(a.fine_shifts[1]);
      }
      add_dots<I>(units, x + r * groups, groups, sums);
      for (int i = 0; i < I; ++i) {
        const float d = x[(r + i) * groups].scale;
        acc[r + i] = add_scaled(sums.low[i], first, d, acc[r + i]);
        acc[r + i] = add_scaled(sums.high[i], second, d, acc[r + i]);
      }
    });
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(out + r * kTile, acc[r]);
}

template <int R>
TENON_AVX512 void product_f32_rows(const std::byte* tile, const PackedWeight& w,
                                   const Activations& in, std::int64_t row, float* out) {
  const auto* values = reinterpret_cast<const float*>(tile);
  __m512 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < w.k; ++i)
    for (int r = 0; r < R; ++r)
      acc[r] = _mm512_fmadd_ps(_mm512_loadu_ps(values + i * kTile),
                               _mm512_set1_ps(in.floats[(row + r) * in.k + i]), acc[r]);
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(out + r * kTile, acc[r]);
}

void product_q4(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    w.wide ? product_q4_rows<R, true>(tile, then, w, in, at, to)
           : product_q4_rows<R, false>(tile, then, w, in, at, to);
  });
}

template <bool Five, bool Wide, bool Min>
void product_q8_of(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                   const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    product_q8_rows<R, Five, Wide, Min>(tile, then, w, in, at, to);
  });
}

void product_q8(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                const Activations& in, std::int64_t row, int rows, float* out) {
  static constexpr Kernels::Product kOf[8] = {
      &product_q8_of<false, false, false>, &product_q8_of<false, false, true>,
      &product_q8_of<false, true, false>,  &product_q8_of<false, true, true>,
      &product_q8_of<true, false, false>,  &product_q8_of<true, false, true>,
      &product_q8_of<true, true, false>,   &product_q8_of<true, true, true>};
  kOf[(w.five ? 4 : 0) + (w.wide ? 2 : 0) + (w.has_min ? 1 : 0)](tile, next, w, in, row, rows, out);
}

void product_q8n16(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                   const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    product_q8n16_rows<R>(tile, then, w, in, at, to);
  });
}

void product_f32(const std::byte* tile, const std::byte*, const PackedWeight& w,
                 const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks<8>(row, nullptr, rows, out, [&]<int R>(std::int64_t at, const std::byte*, float* to) {
    product_f32_rows<R>(tile, w, in, at, to);
  });
}

// tenon_exp of 16 * N values.
template <int N>
TENON_AVX512 inline void exp16(__m512 (&x)[N]) {
  const __m512 low = _mm512_set1_ps(TENON_EXP_LOW);
  __m512 clamped[N], t[N], p[N];
  // Of a pair with a NaN these give the second: it stays one.
  for (int i = 0; i < N; ++i)
    clamped[i] = _mm512_max_ps(low, _mm512_min_ps(_mm512_set1_ps(TENON_EXP_HIGH), x[i]));
  exp_parts(clamped, t, p);
  for (int i = 0; i < N; ++i) {
    const __m512i exponent = _mm512_slli_epi32(
        _mm512_add_epi32(_mm512_castps_si512(t[i]), _mm512_set1_epi32(127 - 0x4B400000)), 23);
    x[i] = _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x[i], low, _CMP_NLT_UQ), p[i],
                               _mm512_castsi512_ps(exponent));
  }
}

// What the gate's function has as e's exponent: silu(g) = g / (1 + e^-g), gelu likewise.
template <bool Gelu>
TENON_AVX512 inline __m512 gate_exponent(__m512 g) {
  if constexpr (!Gelu) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(g), sign));
  }
  const __m512 cubic =
      _mm512_fmadd_ps(_mm512_set1_ps(TENON_GELU_CUBIC), _mm512_mul_ps(g, g), _mm512_set1_ps(1));
  return _mm512_mul_ps(_mm512_set1_ps(TENON_GELU_SCALE), _mm512_mul_ps(g, cubic));
}

template <int N, bool Gelu>
TENON_AVX512 inline void gate16(float* gate, const float* up) {
  __m512 e[N];
  for (int i = 0; i < N; ++i) e[i] = gate_exponent<Gelu>(_mm512_loadu_ps(gate + 16 * i));
  exp16(e);
  for (int i = 0; i < N; ++i) {
    const __m512 g =
        _mm512_div_ps(_mm512_loadu_ps(gate + 16 * i), _mm512_add_ps(_mm512_set1_ps(1), e[i]));
    _mm512_storeu_ps(gate + 16 * i, _mm512_mul_ps(g, _mm512_loadu_ps(up + 16 * i)));
  }
}

template <bool Gelu>
TENON_AVX512 void gate_mul(float* gate, const float* up, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 64 <= n; i += 64) gate16<4, Gelu>(gate + i, up + i);
  for (; i < n; i += 16) gate16<1, Gelu>(gate + i, up + i);
}

}  // namespace

const Kernels& avx512vnni_kernels() {
  static const Kernels kKernels = [] {
    Kernels kernels = avx2_kernels();
    kernels.name = "avx512vnni";
    kernels.product_q4 = &product_q4;
    kernels.product_q8 = &product_q8;
    kernels.product_q8n16 = &product_q8n16;
    kernels.product_f32 = &product_f32;
    kernels.widen = &widen;
    kernels.silu_mul = &gate_mul<false>;
    kernels.gelu_mul = &gate_mul<true>;
    kernels.attend = &avx512_attend_kernels();
    return kernels;
  }();
  return kKernels;
}

}  // namespace tenon::cpu
