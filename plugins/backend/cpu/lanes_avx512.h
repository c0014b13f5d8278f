// What the files of AVX-512 kernels share: the instructions, and halves as 16 lanes of floats.
#pragma once

#include <cstdint>

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

}  // namespace tenon::cpu
