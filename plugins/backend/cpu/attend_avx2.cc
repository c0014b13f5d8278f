// Attention with AVX2, FMA and F16C.
#include <immintrin.h>

#include <algorithm>

#include "attend_kernels.h"
#include "lanes_avx2.h"

namespace tenon::cpu {
namespace {

__m256 load_halves(const std::uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
__m128i to_halves(const float* at) {
  return _mm256_cvtps_ph(_mm256_loadu_ps(at), _MM_FROUND_TO_NEAREST_INT);
}

// Pairs lie side by side. In even lanes a * c - b * s, in odd ones a * s + b * c.
void turn_adjacent(float* head, const float* cos_sin, int dims) {
  int i = 0;
  for (; i + 8 <= dims; i += 8) {
    const __m256 x = _mm256_loadu_ps(head + i), cs = _mm256_loadu_ps(cos_sin + i);
    const __m256 b = _mm256_mul_ps(_mm256_movehdup_ps(x), _mm256_permute_ps(cs, 0xb1));
    _mm256_storeu_ps(head + i, _mm256_fmaddsub_ps(_mm256_moveldup_ps(x), cs, b));
  }
  for (; i < dims; i += 2) {
    const float c = cos_sin[i], s = cos_sin[i + 1], a = head[i], b = head[i + 1];
    head[i] = __builtin_fmaf(a, c, -(b * s));
    head[i + 1] = __builtin_fmaf(a, s, b * c);
  }
}

// The other half of a pair lies dims / 2 further on.
void turn_half(float* head, const float* cos_sin, int dims) {
  float* other = head + dims / 2;
  int i = 0;
  for (; i + 8 <= dims / 2; i += 8) {
    const __m256 first = _mm256_loadu_ps(cos_sin + 2 * i),
                 second = _mm256_loadu_ps(cos_sin + 2 * i + 8);
    const auto in_order = [](__m256 lanes) {
      return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(lanes), 0xd8));
    };
    const __m256 c = in_order(_mm256_shuffle_ps(first, second, 0x88)),
                 s = in_order(_mm256_shuffle_ps(first, second, 0xdd)),
                 a = _mm256_loadu_ps(head + i), b = _mm256_loadu_ps(other + i);
    _mm256_storeu_ps(head + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    _mm256_storeu_ps(other + i, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
  }
  for (; i < dims / 2; ++i) {
    const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], a = head[i], b = other[i];
    head[i] = __builtin_fmaf(a, c, -(b * s));
    other[i] = __builtin_fmaf(a, s, b * c);
  }
}

void turn(float* x, int heads, int dim, const float* cos_sin, int rope_dims, std::int32_t style) {
  for (int h = 0; h < heads; ++h) {
    if (style == TENON_ROPE_STYLE_ADJACENT) turn_adjacent(x + h * dim, cos_sin, rope_dims);
    if (style == TENON_ROPE_STYLE_HALF) turn_half(x + h * dim, cos_sin, rope_dims);
  }
}

// An 8 x 8 matrix of halves, its rows in x, becomes 8 runs of neighbouring slots.
void store_columns(const __m128i* x, std::uint16_t* k) {
  __m128i pairs[8], quads[8];
  for (int i = 0; i < 4; ++i) {  // rows 2i and 2i + 1
    pairs[i] = _mm_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
    pairs[4 + i] = _mm_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
  }
  for (int i = 0; i < 8; i += 2) {  // columns 2 * (i / 4) and on of four rows
    quads[i] = _mm_unpacklo_epi32(pairs[i], pairs[i + 1]);
    quads[i + 1] = _mm_unpackhi_epi32(pairs[i], pairs[i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    const int from = i / 2 * 4 + i % 2;  // the upper four rows; the lower ones are 2 further on
    auto* first = reinterpret_cast<__m128i*>(k + 2 * i * TENON_PAGE_TOKENS);
    auto* second = reinterpret_cast<__m128i*>(k + (2 * i + 1) * TENON_PAGE_TOKENS);
    _mm_storeu_si128(first, _mm_unpacklo_epi64(quads[from], quads[from + 2]));
    _mm_storeu_si128(second, _mm_unpackhi_epi64(quads[from], quads[from + 2]));
  }
}

void store_keys(const float* x, int rows, int dim, std::uint16_t* k) {
  for (int d = 0; d < dim; d += 8) {
    __m128i halves[kStoreRows];
    for (int r = 0; r < rows; ++r) halves[r] = to_halves(x + r * dim + d);
    if (rows == kStoreRows) {
      store_columns(halves, k + d * TENON_PAGE_TOKENS);
      continue;
    }
    for (int r = 0; r < rows; ++r) {
      alignas(16) std::uint16_t values[8];
      _mm_store_si128(reinterpret_cast<__m128i*>(values), halves[r]);
      for (int i = 0; i < 8; ++i) k[(d + i) * TENON_PAGE_TOKENS + r] = values[i];
    }
  }
}

void store_values(const float* x, int dim, std::uint16_t* v) {
  for (int d = 0; d < dim; d += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(v + d), to_halves(x + d));
}

// Registers of 8 keys or values beside R queries: 16 registers in all.
template <int R>
constexpr int kWidth = R <= 3 ? 4 : 2;

// acc[r][i] += x_r * (the 8 halves from `at + 8 * i` on). What there is less of is loaded first.
// `soon`: what the loop after this one reads.
template <int R, int W>
void accumulate(const float* x, std::ptrdiff_t stride, const std::uint16_t* at,
                const std::uint16_t* soon, __m256 (*acc)[W]) {
  _mm_prefetch(reinterpret_cast<const char*>(soon), _MM_HINT_T1);
  if constexpr (R <= W) {
    __m256 value[R];
    for (int r = 0; r < R; ++r) value[r] = _mm256_broadcast_ss(x + r * stride);
    for (int i = 0; i < W; ++i) {
      const __m256 lanes = load_halves(at + 8 * i);
      for (int r = 0; r < R; ++r) acc[r][i] = _mm256_fmadd_ps(value[r], lanes, acc[r][i]);
    }
  } else {
    __m256 lanes[W];
    for (int i = 0; i < W; ++i) lanes[i] = load_halves(at + 8 * i);
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(x + r * stride);
      for (int i = 0; i < W; ++i) acc[r][i] = _mm256_fmadd_ps(value, lanes[i], acc[r][i]);
    }
  }
}

// Scores of 8 * kWidth keys from `first` on: one chain over dim per key.
template <int R>
void scores(const float* q, int dim, const std::uint16_t* k, const std::uint16_t* v, int first,
            float scale, float (*out)[TENON_PAGE_TOKENS]) {
  constexpr int W = kWidth<R>;
  __m256 acc[R][W];
  for (int r = 0; r < R; ++r)
    for (auto& a : acc[r]) a = _mm256_setzero_ps();
  for (int d = 0; d < dim; ++d)
    accumulate<R, W>(q + d, dim, k + d * TENON_PAGE_TOKENS + first,
                     v + d * TENON_PAGE_TOKENS + first, acc);
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < W; ++i)
      _mm256_storeu_ps(out[r] + first + 8 * i, _mm256_mul_ps(acc[r][i], _mm256_set1_ps(scale)));
}

// Scores become weights in place; keys outside [from, valid) weigh nothing whatever their memory
// holds.
ChunkState weigh(float* scores, int from, int valid) {
  const __m256 none = _mm256_set1_ps(-__builtin_inff());
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256 s[8], most = none;
  for (int i = 0; i < 8; ++i) {
    const __m256i counts =
        _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(from - 8 * i), index),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(valid - 8 * i), index));
    s[i] = _mm256_blendv_ps(none, _mm256_loadu_ps(scores + 8 * i), _mm256_castsi256_ps(counts));
    most = _mm256_max_ps(most, s[i]);
  }
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  const float top = _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int i = 0; i < 8; ++i) {
    const __m256 p = exp8(_mm256_sub_ps(s[i], _mm256_set1_ps(top)));
    _mm256_storeu_ps(scores + 8 * i, p);
    sum[i % 2] = _mm256_add_ps(sum[i % 2], p);
  }
  return {top, fold16(sum[0], sum[1])};
}

// Takes a chunk's state into a running one. What the running total and the chunk's sums are to be
// multiplied with goes to `keep` and `add`.
void fold_state(ChunkState& state, const ChunkState& chunk, float& keep, float& add) {
  const float most = std::max(state.most, chunk.most);
  keep = tenon_exp(state.most - most);
  add = tenon_exp(chunk.most - most);
  state = {most, __builtin_fmaf(chunk.sum, add, state.sum * keep)};
}

void fold_lanes(float* total, __m256 sums, float keep, float add) {
  _mm256_storeu_ps(total,
                   _mm256_fmadd_ps(sums, _mm256_set1_ps(add),
                                   _mm256_mul_ps(_mm256_loadu_ps(total), _mm256_set1_ps(keep))));
}

// 8 * W values from `first` on into the totals: one chain over keys per value.
template <int R, int W>
void fold_values(const float (*p)[TENON_PAGE_TOKENS], int dim, const std::uint16_t* v,
                 const std::uint16_t* next, int first, const PageKeys& keys, const float* keep,
                 const float* add, float* totals) {
  __m256 acc[R][W];
  for (int r = 0; r < R; ++r)
    for (auto& a : acc[r]) a = _mm256_setzero_ps();
  for (int j = keys.from; j < keys.valid; ++j)
    accumulate<R, W>(p[0] + j, TENON_PAGE_TOKENS, v + j * dim + first, next + j * dim + first, acc);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    for (int i = 0; r >= R - keys.longer && i < W; ++i)
      acc[r][i] = _mm256_fmadd_ps(_mm256_broadcast_ss(p[r] + keys.valid),
                                  load_halves(v + keys.valid * dim + first + 8 * i), acc[r][i]);
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < W; ++i)
      fold_lanes(totals + r * dim + first + 8 * i, acc[r][i], keep[r], add[r]);
}

template <int R>
void chunk_of(const float* q, int dim, const std::uint16_t* k, const std::uint16_t* v,
              const std::uint16_t* next, const PageKeys& keys, float scale, ChunkState* states,
              float* totals) {
  constexpr int kLanes = 8 * kWidth<R>;
  float p[R][TENON_PAGE_TOKENS], keep[R], add[R];
  for (int first = keys.from / kLanes * kLanes; first < keys.end(); first += kLanes)
    scores<R>(q, dim, k, v, first, scale, p);
  for (int r = 0; r < R; ++r)
    fold_state(states[r], weigh(p[r], keys.from, keys.end_of(r, R)), keep[r], add[r]);
  int d = 0;
  for (; d + kLanes <= dim; d += kLanes)
    fold_values<R, kWidth<R>>(p, dim, v, next, d, keys, keep, add, totals);
  for (; d < dim; d += 8) fold_values<R, 1>(p, dim, v, next, d, keys, keep, add, totals);
}

void chunk(const float* q, int count, int dim, const std::uint16_t* k, const std::uint16_t* v,
           const std::uint16_t* next, const PageKeys& keys, float scale, ChunkState* states,
           float* totals) {
  for_queries(count,
              [&]<int R>() { chunk_of<R>(q, dim, k, v, next, keys, scale, states, totals); });
}

void fold(ChunkState& state, float* total, const ChunkState& chunk_state, const float* chunk,
          int dim) {
  float keep, add;
  fold_state(state, chunk_state, keep, add);
  for (int d = 0; d < dim; d += 8) fold_lanes(total + d, _mm256_loadu_ps(chunk + d), keep, add);
}

}  // namespace

const AttendKernels& avx2_attend_kernels() {
  static constexpr AttendKernels kKernels = {&turn, &store_keys, &store_values, &chunk, &fold};
  return kKernels;
}

}  // namespace tenon::cpu
