// What the files of AVX-512 kernels share: the instructions, and halves as 16 lanes of floats.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "tenon/abi/contract.h"

#ifdef TENON_AVX512_EMULATION  // tests: a header with the instructions in portable C
#include TENON_AVX512_EMULATION
#define TENON_AVX512
#else
#include <immintrin.h>
#define TENON_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")))
#endif

namespace tenon::cpu {

TENON_AVX512 inline __m512 load_halves(const void* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(at)));
}

// tenon_exp's way to 2^n * p for 16 * N values inside its range, each step for all: one chain alone
// waits for itself. t: n, as the low bits of TENON_EXP_MAGIC + n.
template <int N>
TENON_AVX512 inline void exp_parts(const __m512 (&x)[N], __m512 (&t)[N], __m512 (&p)[N]) {
  const __m512 magic = _mm512_set1_ps(TENON_EXP_MAGIC);
  __m512 r[N];
  for (int i = 0; i < N; ++i) t[i] = _mm512_fmadd_ps(x[i], _mm512_set1_ps(TENON_EXP_LOG2E), magic);
  for (int i = 0; i < N; ++i) {
    const __m512 n = _mm512_sub_ps(t[i], magic);
    r[i] = _mm512_fmadd_ps(n, _mm512_set1_ps(-TENON_EXP_LN2_HIGH), x[i]);
    r[i] = _mm512_fmadd_ps(n, _mm512_set1_ps(-TENON_EXP_LN2_LOW), r[i]);
    p[i] = _mm512_set1_ps(1.0f / 5040);
  }
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    for (int i = 0; i < N; ++i) p[i] = _mm512_fmadd_ps(p[i], r[i], _mm512_set1_ps(c));
}

}  // namespace tenon::cpu
