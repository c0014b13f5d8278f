// Eight lanes at once what the contract defines for one value, and its sum of 16 lanes.
#pragma once

#include <immintrin.h>

#include <initializer_list>

#include "tenon/abi/contract.h"

namespace tenon::cpu {

// tenon_exp.
inline __m256 exp8(__m256 x) {
  const __m256 low = _mm256_set1_ps(TENON_EXP_LOW), magic = _mm256_set1_ps(TENON_EXP_MAGIC);
  // Of a pair with a NaN these give the second: it stays one.
  const __m256 clamped = _mm256_max_ps(low, _mm256_min_ps(_mm256_set1_ps(TENON_EXP_HIGH), x));
  const __m256 t = _mm256_fmadd_ps(clamped, _mm256_set1_ps(TENON_EXP_LOG2E), magic);
  const __m256 n = _mm256_sub_ps(t, magic);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-TENON_EXP_LN2_HIGH), clamped);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-TENON_EXP_LN2_LOW), r);
  __m256 p = _mm256_set1_ps(1.0f / 5040);
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
  const __m256i exponent = _mm256_slli_epi32(
      _mm256_add_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(127 - 0x4B400000)), 23);
  const __m256 y = _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
  return _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), y);
}

// The halving 8, 4, 2, 1 of lanes 0..7 and 8..15.
inline float fold16(__m256 first, __m256 second) {
  const __m256 eight = _mm256_add_ps(first, second);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace tenon::cpu
