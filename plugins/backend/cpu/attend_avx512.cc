// Attention with AVX-512: all 64 keys, or 64 values, of six queries in registers. The rest is
// AVX2's.
#include "attend_kernels.h"
#include "lanes_avx512.h"

namespace tenon::cpu {
namespace {

// tenon_exp of 16 * N values that are at most 0. 2^n is added to the exponent: that is exact, where
// x >= TENON_EXP_LOW the product is no subnormal.
template <int N>
TENON_AVX512 inline void exp16(__m512 (&x)[N]) {
  __m512 t[N], p[N];
  exp_parts(x, t, p);
  for (int i = 0; i < N; ++i) {
    const __mmask16 counts = _mm512_cmp_ps_mask(x[i], _mm512_set1_ps(TENON_EXP_LOW), _CMP_NLT_UQ);
    const __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(t[i]), 23);
    x[i] = _mm512_castsi512_ps(_mm512_maskz_add_epi32(counts, _mm512_castps_si512(p[i]), shift));
  }
}

// 128 bytes of what the loop after this one reads, into the second level: the first one has too few
// places for lines that are on their way.
inline void prefetch(const std::uint16_t* at) {
  _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1);
  _mm_prefetch(reinterpret_cast<const char*>(at + 32), _MM_HINT_T1);
}

TENON_AVX512 inline __m256 upper_half(__m512 x) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
}

// Scores of 16 * W keys from `first` on: one chain over dim per key.
template <int R, int W>
TENON_AVX512 inline void scores(const float* q, int dim, const std::uint16_t* k,
                                const std::uint16_t* v, int first, float scale,
                                float (*out)[TENON_PAGE_TOKENS]) {
  __m512 acc[R * W];
// Not unrolled early, the sums go through memory before and after the loop.
#pragma GCC unroll 24
  for (__m512& a : acc) a = _mm512_setzero_ps();
  for (int d = 0; d < dim; ++d) {
    __m512 key[W];
    prefetch(v + d * TENON_PAGE_TOKENS);
    for (int i = 0; i < W; ++i) key[i] = load_halves(k + d * TENON_PAGE_TOKENS + first + 16 * i);
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(q[r * dim + d]);
      for (int i = 0; i < W; ++i) acc[r * W + i] = _mm512_fmadd_ps(value, key[i], acc[r * W + i]);
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < R * W; ++i)
    _mm512_storeu_ps(out[i / W] + first + 16 * (i % W),
                     _mm512_mul_ps(acc[i], _mm512_set1_ps(scale)));
}

// Scores become weights in place; keys that do not count weigh nothing whatever their memory holds.
// Step by step for all queries: the chains of one alone would wait for each other.
template <int R>
TENON_AVX512 inline void weigh(float (*p)[TENON_PAGE_TOKENS], const PageKeys& keys,
                               ChunkState* chunk) {
  const __m512 none = _mm512_set1_ps(-__builtin_inff());
  const auto mask_of = [&](int query, int i) {
    const std::uint64_t counts =
        (~std::uint64_t{0} >> (64 - keys.end_of(query, R))) & (~std::uint64_t{0} << keys.from);
    return static_cast<__mmask16>(counts >> 16 * i);
  };
  __m512 four[R];
  __m256 two[R];
  __m128 one[R];
  for (int r = 0; r < R; ++r) {
    __m512 s[4];
    for (int i = 0; i < 4; ++i)
      s[i] = _mm512_mask_blend_ps(mask_of(r, i), none, _mm512_loadu_ps(p[r] + 16 * i));
    four[r] = _mm512_max_ps(_mm512_max_ps(s[0], s[1]), _mm512_max_ps(s[2], s[3]));
  }
  for (int r = 0; r < R; ++r)
    two[r] = _mm256_max_ps(_mm512_castps512_ps256(four[r]), upper_half(four[r]));
  for (int r = 0; r < R; ++r)
    one[r] = _mm_max_ps(_mm256_castps256_ps128(two[r]), _mm256_extractf128_ps(two[r], 1));
  for (int r = 0; r < R; ++r) one[r] = _mm_max_ps(one[r], _mm_movehl_ps(one[r], one[r]));
  for (int r = 0; r < R; ++r)
    chunk[r].most = _mm_cvtss_f32(_mm_max_ss(one[r], _mm_movehdup_ps(one[r])));
  for (int r = 0; r < R; ++r) {
    __m512 x[4];
    for (int i = 0; i < 4; ++i)
      x[i] = _mm512_mask_sub_ps(none, mask_of(r, i), _mm512_loadu_ps(p[r] + 16 * i),
                                _mm512_set1_ps(chunk[r].most));
    exp16(x);
    for (int i = 0; i < 4; ++i) _mm512_storeu_ps(p[r] + 16 * i, x[i]);
    four[r] = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(x[0], x[1]), x[2]), x[3]);
  }
  for (int r = 0; r < R; ++r)
    two[r] = _mm256_add_ps(_mm512_castps512_ps256(four[r]), upper_half(four[r]));
  for (int r = 0; r < R; ++r)
    one[r] = _mm_add_ps(_mm256_castps256_ps128(two[r]), _mm256_extractf128_ps(two[r], 1));
  for (int r = 0; r < R; ++r) one[r] = _mm_add_ps(one[r], _mm_movehl_ps(one[r], one[r]));
  for (int r = 0; r < R; ++r)
    chunk[r].sum = _mm_cvtss_f32(_mm_add_ss(one[r], _mm_movehdup_ps(one[r])));
}

// What a query's total and the sums of its chunk are multiplied with.
struct alignas(64) Factors {
  float keep[8], add[8];
};
static_assert(kQueryBlock <= 8);

// Takes a chunk's states into the running ones.
template <int R>
TENON_AVX512 inline void fold_states(const ChunkState* chunk, ChunkState* states,
                                     Factors& factors) {
  factors = {};
  for (int r = 0; r < R; ++r) {
    const float most = states[r].most < chunk[r].most ? chunk[r].most : states[r].most;
    factors.keep[r] = states[r].most - most;
    factors.add[r] = chunk[r].most - most;
    states[r].most = most;
  }
  __m512 x[1] = {_mm512_loadu_ps(factors.keep)};
  exp16(x);
  _mm512_storeu_ps(factors.keep, x[0]);
  for (int r = 0; r < R; ++r)
    states[r].sum = __builtin_fmaf(chunk[r].sum, factors.add[r], states[r].sum * factors.keep[r]);
}

// 16 * W values from `first` on into the totals: one chain over keys per value.
template <int R, int W>
TENON_AVX512 inline void fold_values(const float (*p)[TENON_PAGE_TOKENS], int dim,
                                     const std::uint16_t* v, const std::uint16_t* next, int first,
                                     const PageKeys& keys, const Factors& factors, float* totals) {
  __m512 acc[R * W];
#pragma GCC unroll 24
  for (__m512& a : acc) a = _mm512_setzero_ps();
  const auto add = [&](int j, int first_query) TENON_AVX512 {
    __m512 value[W];
    for (int i = 0; i < W; ++i) value[i] = load_halves(v + j * dim + first + 16 * i);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      if (r < first_query) continue;
      const __m512 weight = _mm512_set1_ps(p[r][j]);
      for (int i = 0; i < W; ++i)
        acc[r * W + i] = _mm512_fmadd_ps(weight, value[i], acc[r * W + i]);
    }
  };
  for (int j = keys.from; j < keys.valid; ++j) {
    if (W == 4) prefetch(next + j * dim + first);
    add(j, 0);
  }
  if (keys.longer > 0) add(keys.valid, R - keys.longer);
  for (int r = 0; r < R; ++r) {
    const __m512 keep = _mm512_set1_ps(factors.keep[r]), with = _mm512_set1_ps(factors.add[r]);
    for (int i = 0; i < W; ++i) {
      float* total = totals + r * dim + first + 16 * i;
      _mm512_storeu_ps(total, _mm512_fmadd_ps(acc[r * W + i], with,
                                              _mm512_mul_ps(_mm512_loadu_ps(total), keep)));
    }
  }
}

// The last 8 values where dim is no multiple of 16.
template <int R>
TENON_AVX512 inline void fold_last(const float (*p)[TENON_PAGE_TOKENS], int dim,
                                   const std::uint16_t* v, const PageKeys& keys,
                                   const Factors& factors, float* totals) {
  __m256 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm256_setzero_ps();
  for (int j = keys.from; j < keys.end(); ++j) {
    const __m256 value =
        _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(v + j * dim + dim - 8)));
    for (int r = j < keys.valid ? 0 : R - keys.longer; r < R; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(p[r][j]), value, acc[r]);
  }
  for (int r = 0; r < R; ++r) {
    float* total = totals + r * dim + dim - 8;
    const __m256 kept = _mm256_mul_ps(_mm256_loadu_ps(total), _mm256_set1_ps(factors.keep[r]));
    _mm256_storeu_ps(total, _mm256_fmadd_ps(acc[r], _mm256_set1_ps(factors.add[r]), kept));
  }
}

template <int R>
TENON_AVX512 void chunk_of(const float* q, int dim, const std::uint16_t* k, const std::uint16_t* v,
                           const std::uint16_t* next, const PageKeys& keys, float scale,
                           ChunkState* states, float* totals) {
  alignas(64) float p[R][TENON_PAGE_TOKENS];
  if (keys.from < 32 && keys.end() > 32)
    scores<R, 4>(q, dim, k, v, 0, scale, p);
  else
    scores<R, 2>(q, dim, k, v, keys.from / 32 * 32, scale, p);
  ChunkState chunk[R];
  weigh<R>(p, keys, chunk);
  Factors factors;
  fold_states<R>(chunk, states, factors);
  int d = 0;
  for (; d + 64 <= dim; d += 64) fold_values<R, 4>(p, dim, v, next, d, keys, factors, totals);
  for (; d + 16 <= dim; d += 16) fold_values<R, 1>(p, dim, v, next, d, keys, factors, totals);
  if (d < dim) fold_last<R>(p, dim, v, keys, factors, totals);
}

void chunk(const float* q, int count, int dim, const std::uint16_t* k, const std::uint16_t* v,
           const std::uint16_t* next, const PageKeys& keys, float scale, ChunkState* states,
           float* totals) {
  for_queries(count,
              [&]<int R>() { chunk_of<R>(q, dim, k, v, next, keys, scale, states, totals); });
}

}  // namespace

const AttendKernels& avx512_attend_kernels() {
  static const AttendKernels kKernels = [] {
    AttendKernels kernels = avx2_attend_kernels();
    kernels.chunk = &chunk;
    return kernels;
  }();
  return kKernels;
}

}  // namespace tenon::cpu
