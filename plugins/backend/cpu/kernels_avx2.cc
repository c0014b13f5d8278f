// AVX2 with FMA and F16C: the floor of every x86-64-v3 machine.
#include <immintrin.h>

#include <algorithm>
#include <limits>

#include "kernels.h"
#include "lanes_avx2.h"

namespace tenon::cpu {
namespace {

float inverse_rms(const float* x, std::int64_t k, float eps) {
  float sum;
  if (k % 16 == 0) {
    __m256 first = _mm256_setzero_ps(), second = first;
    for (std::int64_t i = 0; i < k; i += 16) {
      const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
      first = _mm256_fmadd_ps(a, a, first);
      second = _mm256_fmadd_ps(b, b, second);
    }
    sum = fold16(first, second);
  } else {
    sum = tenon_sum_squares16(x, k);
  }
  return 1.0f / __builtin_sqrtf(sum / static_cast<float>(k) + eps);
}

// The largest size of 32 values; infinity or NaN if one of them is. The bits of sizes order as the
// sizes do, and no size is above infinity but NaN.
float most_of(const __m256* v) {
  const __m256i size = _mm256_set1_epi32(0x7fffffff);
  __m256i most = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i)
    most = _mm256_max_epi32(most, _mm256_and_si256(size, _mm256_castps_si256(v[i])));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1))));
}

// 32 values to int8; the rounding is that of tenon_quantise32. False if one is not finite.
bool quantise_group(const float* x, ActivationGroup& out) {
  __m256 v[4];
  for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + 8 * i);
  const float amax = most_of(v);
  const __m256 inverse = _mm256_set1_ps(amax > 0 ? 127.0f / amax : 0.0f);
  __m256i q[4];
  for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
  const __m256i total[2] = {_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3])};
  const __m256i words =
      _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  const __m256i bytes =
      _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_store_si256(reinterpret_cast<__m256i*>(out.values), bytes);
  // In each half of the register two sums of the first 16 values, then two of the others.
  const __m256i pairs = _mm256_hadd_epi32(total[0], total[1]);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  const std::int32_t first = _mm_cvtsi128_si32(s), second = _mm_extract_epi32(s, 2);
  const float d = amax / 127.0f;
  out.scale = d;
  out.scaled_sum = d * static_cast<float>(first + second);
  out.shift = -128 * (first + second);
  out.fine_shifts[0] = -128 * first;
  out.fine_shifts[1] = -128 * second;
  return amax <= std::numeric_limits<float>::max();
}

bool prepare_row(const float* x, const float* norm, float eps, bool quantise, bool keep,
                 const Activations& out, std::int64_t row) {
  const float r = norm != nullptr ? inverse_rms(x, out.k, eps) : 1;
  bool finite = true;
  if (!quantise) {
    for (std::int64_t i = 0; i < out.k; ++i) {
      out.floats[row * out.k + i] = norm != nullptr ? (x[i] * r) * norm[i] : x[i];
      finite &= x[i] - x[i] == 0;
    }
    return finite;
  }
  alignas(32) float room[TENON_GROUP];
  for (std::int64_t group = 0; group < out.k / TENON_GROUP; ++group, x += TENON_GROUP) {
    const float* values = x;
    if (norm != nullptr) {
      const float* w = norm + group * TENON_GROUP;
      float* y = keep ? out.floats + row * out.k + group * TENON_GROUP : room;
      for (int i = 0; i < TENON_GROUP; i += 8)
        _mm256_storeu_ps(y + i,
                         _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r)),
                                       _mm256_loadu_ps(w + i)));
      values = y;
    }
    finite &= quantise_group(values, out.row(row)[group]);
  }
  // The norm of a row with an infinity is zeros and NaN; a sum of squares that overflows, zeros.
  return finite && r > 0;
}

__m256 load_f16(const std::byte* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// Of the 16 scales or mins at `plane` those of a half of the tile.
template <bool Wide>
__m256 load_plane(const std::byte* plane, int half) {
  if constexpr (Wide) return _mm256_load_ps(reinterpret_cast<const float*>(plane) + 8 * half);
  return load_f16(plane + 16 * half);
}

__m256i broadcast_quad(const std::int8_t* at) {
  return _mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(at));
}

// 8 outputs (half of a tile) by R rows. 16-bit sums cannot overflow: 8 units of 2 * 15 * 127.
template <int R, bool Wide>
void product_q4_half(const std::byte* tile, const std::byte* next, std::int64_t groups,
                     const Activations& in, std::int64_t row, float* out, int half) {
  constexpr int kPlane = Wide ? 64 : 32;
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  __m256 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm256_setzero_ps();
  const ActivationGroup* x = in.row(row);
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += 256 + 2 * kPlane) {
    ask<R>(next, 256 + 2 * kPlane);
    __m256i sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
// Unrolled, gcc keeps the products of all blocks alive and spills them.
#pragma GCC unroll 1
    for (int block = 0; block < 4; ++block) {
      const __m256i both =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(tile + block * 64 + half * 32));
      const __m256i first = _mm256_and_si256(both, low),
                    second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
      for (int r = 0; r < R; ++r) {
        const std::int8_t* values = x[r * groups].values + block * 4;
        sum[r] = _mm256_add_epi16(sum[r], _mm256_maddubs_epi16(first, broadcast_quad(values)));
        sum[r] =
            _mm256_add_epi16(sum[r], _mm256_maddubs_epi16(second, broadcast_quad(values + 16)));
      }
    }
    const __m256 scale = load_plane<Wide>(tile + 256, half),
                 min = load_plane<Wide>(tile + 256 + kPlane, half);
    for (int r = 0; r < R; ++r) {
      const ActivationGroup& a = x[r * groups];
      const __m256 exact = _mm256_cvtepi32_ps(_mm256_madd_epi16(sum[r], ones));
      acc[r] = _mm256_fmadd_ps(exact, _mm256_mul_ps(scale, _mm256_set1_ps(a.scale)), acc[r]);
      acc_min[r] = _mm256_fmadd_ps(min, _mm256_set1_ps(a.scaled_sum), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r)
    _mm256_storeu_ps(out + r * kTile + half * 8, _mm256_add_ps(acc[r], acc_min[r]));
}

// The sum of 8 outputs' products over a unit of 4 values. |w| <= 128 times |x| <= 127, twice: 32512
// fits 16 bits.
__m256i unit_product(__m256i size, __m256i values, __m256i x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(size, _mm256_sign_epi8(x, values)),
                           _mm256_set1_epi16(1));
}

// The sums of 8 outputs of a group with R rows x, x + groups, ... Inlined, for they stay in
// registers: as calls a prompt took 1.1 times as long.
template <int R>
[[gnu::always_inline]] inline void sum_eights(const std::byte* tile, const ActivationGroup* x,
                                              std::int64_t groups, int half, __m256i (&sum)[R]) {
  for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
  for (int unit = 0; unit < 8; ++unit) {
    const __m256i values = _mm256_load_si256(
                      reinterpret_cast<const __m256i*>(tile + unit * 64 + half * 32)),
                  size = _mm256_abs_epi8(values);
    for (int r = 0; r < R; ++r) {
      const __m256i quad = broadcast_quad(x[r * groups].values + unit * 4);
      sum[r] = _mm256_add_epi32(sum[r], unit_product(size, values, quad));
    }
  }
}

// The same of values of five bits: w as it is where there are mins, else w + 16. 16-bit sums of the
// first and of the other 16 values cannot overflow: 4 units of 2 * 31 * 127.
template <int R>
[[gnu::always_inline]] inline void sum_fives(const std::byte* tile, const ActivationGroup* x,
                                             std::int64_t groups, int half, bool has_min,
                                             __m256i (&sum)[R]) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  const __m256i fifth = _mm256_load_si256(reinterpret_cast<const __m256i*>(tile + 256 + half * 32));
  for (int r = 0; r < R; ++r) sum[r] = _mm256_set1_epi32(has_min ? 0 : x[r * groups].shift / 8);
  for (const int part : {0, 1}) {
    __m256i of_part[R];
    for (int r = 0; r < R; ++r) of_part[r] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (int block = 0; block < 4; ++block) {
      const __m256i both =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(tile + block * 64 + half * 32));
      const __m256i nibbles = _mm256_and_si256(part == 0 ? both : _mm256_srli_epi16(both, 4), low);
      const int unit = block + 4 * part;
      const __m256i bit = part == 0 ? _mm256_sll_epi16(fifth, _mm_cvtsi32_si128(4 - block))
                                    : _mm256_srl_epi16(fifth, _mm_cvtsi32_si128(block));
      const __m256i values = _mm256_or_si256(nibbles, _mm256_and_si256(bit, _mm256_set1_epi8(16)));
      for (int r = 0; r < R; ++r)
        of_part[r] = _mm256_add_epi16(
            of_part[r],
            _mm256_maddubs_epi16(values, broadcast_quad(x[r * groups].values + 4 * unit)));
    }
    for (int r = 0; r < R; ++r)
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(of_part[r], ones));
  }
}

template <int R, bool Five, bool Wide>
void product_q8_half(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                     const Activations& in, std::int64_t row, float* out, int half) {
  constexpr int kPlane = Wide ? 64 : 32, kValues = Five ? 320 : 512;
  const std::int64_t groups = w.groups();
  __m256 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm256_setzero_ps();
  const ActivationGroup* x = in.row(row);
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += w.group_bytes()) {
    ask<R>(next, w.group_bytes());
    __m256i sum[R];
    if constexpr (Five)
      sum_fives<R>(tile, x, groups, half, w.has_min, sum);
    else
      sum_eights<R>(tile, x, groups, half, sum);
    const __m256 scale = load_plane<Wide>(tile + kValues, half);
    for (int r = 0; r < R; ++r) {
      const ActivationGroup& a = x[r * groups];
      acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]),
                               _mm256_mul_ps(scale, _mm256_set1_ps(a.scale)), acc[r]);
      if (w.has_min)
        acc_min[r] = _mm256_fmadd_ps(load_plane<Wide>(tile + kValues + kPlane, half),
                                     _mm256_set1_ps(a.scaled_sum), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r)
    _mm256_storeu_ps(out + r * kTile + half * 8,
                     w.has_min ? _mm256_add_ps(acc[r], acc_min[r]) : acc[r]);
}

// The two halves of a group have a scale each, and a term of the chain each.
template <int R>
void product_q8n16_half(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                        const Activations& in, std::int64_t row, float* out, int half) {
  const std::int64_t groups = w.groups();
  __m256 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm256_setzero_ps();
  const ActivationGroup* x = in.row(row);
  for (std::int64_t g = 0; g < groups; ++g, ++x, tile += 640) {
    ask<R>(next, 640);
    for (int part = 0; part < 2; ++part) {
      __m256i sum[R];
      for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
      for (int unit = 4 * part; unit < 4 * part + 4; ++unit) {
        const __m256i values = _mm256_load_si256(
                          reinterpret_cast<const __m256i*>(tile + unit * 64 + half * 32)),
                      size = _mm256_abs_epi8(values);
        for (int r = 0; r < R; ++r)
          sum[r] = _mm256_add_epi32(
              sum[r], unit_product(size, values, broadcast_quad(x[r * groups].values + unit * 4)));
      }
      const __m256 scale = load_plane<true>(tile + 512 + 64 * part, half);
      for (int r = 0; r < R; ++r)
        acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]),
                                 _mm256_mul_ps(scale, _mm256_set1_ps(x[r * groups].scale)), acc[r]);
    }
  }
  for (int r = 0; r < R; ++r) _mm256_storeu_ps(out + r * kTile + half * 8, acc[r]);
}

template <int R>
void product_f32_rows(const std::byte* tile, const PackedWeight& w, const Activations& in,
                      std::int64_t row, float* out) {
  const auto* values = reinterpret_cast<const float*>(tile);
  __m256 acc[R][2];
  for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < w.k; ++i) {
    const __m256 first = _mm256_load_ps(values + i * kTile),
                 second = _mm256_load_ps(values + i * kTile + 8);
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_set1_ps(in.floats[(row + r) * in.k + i]);
      acc[r][0] = _mm256_fmadd_ps(first, x, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(second, x, acc[r][1]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int half = 0; half < 2; ++half) _mm256_storeu_ps(out + r * kTile + half * 8, acc[r][half]);
}

void product_q4(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    for (int half = 0; half < 2; ++half)
      w.wide
          ? product_q4_half<R, true>(tile, half == 0 ? then : nullptr, w.groups(), in, at, to, half)
          : product_q4_half<R, false>(tile, half == 0 ? then : nullptr, w.groups(), in, at, to,
                                      half);
  });
}

void product_q8(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    const auto kernel =
        w.five   ? w.wide ? &product_q8_half<R, true, true> : &product_q8_half<R, true, false>
          : w.wide ? &product_q8_half<R, false, true>
                 : &product_q8_half<R, false, false>;
    for (int half = 0; half < 2; ++half)
      kernel(tile, half == 0 ? then : nullptr, w, in, at, to, half);
  });
}

void product_q8n16(const std::byte* tile, const std::byte* next, const PackedWeight& w,
                   const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, next, rows, out, [&]<int R>(std::int64_t at, const std::byte* then, float* to) {
    for (int half = 0; half < 2; ++half)
      product_q8n16_half<R>(tile, half == 0 ? then : nullptr, w, in, at, to, half);
  });
}

void product_f32(const std::byte* tile, const std::byte*, const PackedWeight& w,
                 const Activations& in, std::int64_t row, int rows, float* out) {
  in_blocks(row, nullptr, rows, out, [&]<int R>(std::int64_t at, const std::byte*, float* to) {
    product_f32_rows<R>(tile, w, in, at, to);
  });
}

__m256 load_halves(const std::uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

template <int C>
void low_rank_in_chains(const std::uint16_t* const* a, const float* const* x, std::int64_t k,
                        float* const* out) {
  __m256 acc[C];
  for (int c = 0; c < C; ++c) acc[c] = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < k; ++i)
    for (int c = 0; c < C; ++c)
      acc[c] = _mm256_fmadd_ps(load_halves(a[c] + 8 * i), _mm256_set1_ps(x[c][i]), acc[c]);
  for (int c = 0; c < C; ++c) _mm256_storeu_ps(out[c], acc[c]);
}

void low_rank_in(const std::uint16_t* const* a, const float* const* x, std::int64_t k, int count,
                 float* const* out) {
  for_rows<4>(count, [&]<int C>() { low_rank_in_chains<C>(a, x, k, out); });
}

void low_rank_out(const std::uint16_t* b, const float* t, std::int64_t rank, float scale,
                  float* y) {
  __m256 d[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (std::int64_t i = 0; i < rank; ++i) {
    const __m256 value = _mm256_set1_ps(t[i]);
    for (int half = 0; half < 2; ++half)
      d[half] = _mm256_fmadd_ps(load_halves(b + kTile * i + 8 * half), value, d[half]);
  }
  for (int half = 0; half < 2; ++half)
    _mm256_storeu_ps(y + 8 * half, _mm256_add_ps(_mm256_loadu_ps(y + 8 * half),
                                                 _mm256_mul_ps(_mm256_set1_ps(scale), d[half])));
}

void silu_mul(float* gate, const float* up, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 e = exp8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
    _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
}

void gelu_mul(float* gate, const float* up, std::int64_t n) {
  const __m256 one = _mm256_set1_ps(1);
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 cubic =
        _mm256_fmadd_ps(_mm256_set1_ps(TENON_GELU_CUBIC), _mm256_mul_ps(g, g), one);
    const __m256 inner = _mm256_mul_ps(g, cubic);
    const __m256 e = exp8(_mm256_mul_ps(_mm256_set1_ps(TENON_GELU_SCALE), inner));
    const __m256 gelu = _mm256_div_ps(g, _mm256_add_ps(one, e));
    _mm256_storeu_ps(gate + i, _mm256_mul_ps(gelu, _mm256_loadu_ps(up + i)));
  }
}

float most(const float* x, std::int64_t n) {
  __m256 lanes[2] = {_mm256_set1_ps(x[0]), _mm256_set1_ps(x[0])};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int half = 0; half < 2; ++half)
      lanes[half] = _mm256_max_ps(_mm256_loadu_ps(x + i + 8 * half), lanes[half]);
  alignas(32) float of[16];
  for (int half = 0; half < 2; ++half) _mm256_store_ps(of + 8 * half, lanes[half]);
  float best = of[0];
  for (const float value : of) best = std::max(best, value);
  for (; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

float exp_sum(const float* x, std::int64_t n, float top) {
  __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  const __m256 tops = _mm256_set1_ps(top);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int half = 0; half < 2; ++half)
      sum[half] =
          _mm256_add_ps(sum[half], exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * half), tops)));
  alignas(32) float lanes[16];
  for (int half = 0; half < 2; ++half) _mm256_store_ps(lanes + 8 * half, sum[half]);
  for (; i < n; ++i) lanes[i % 16] += tenon_exp(x[i] - top);
  return tenon_fold16(lanes);
}

void exps(const float* x, std::int64_t n, float top, float* out) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(top))));
  for (; i < n; ++i) out[i] = tenon_exp(x[i] - top);
}

void norm(const float* x, const float* scale, float eps, std::int64_t n, float* out) {
  const float r = inverse_rms(x, n, eps);
  for (std::int64_t i = 0; i < n; ++i) out[i] = (x[i] * r) * scale[i];
}

}  // namespace

const Kernels& avx2_kernels() {
  static const Kernels kKernels = {
      "avx2",         &prepare_row, &product_q4, &product_q8,
      &product_q8n16, &product_f32, nullptr,     &low_rank_in,
      &low_rank_out,  &silu_mul,    &gelu_mul,   &most,
      &exp_sum,       &exps,        &norm,       &avx2_attend_kernels()};
  return kKernels;
}

}  // namespace tenon::cpu
