// AVX-512 VNNI: the products, 16 outputs in one register and four multiply-adds a lane and
// instruction. The rest is AVX2's.
#include "kernels.h"

#ifdef TENON_AVX512_EMULATION  // tests: a header with the instructions in portable C
#include TENON_AVX512_EMULATION
#define TENON_AVX512
#else
#include <immintrin.h>
#define TENON_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")))
#endif

namespace tenon::cpu {
namespace {

TENON_AVX512 __m512 load_f16(const std::byte* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// The 16 scales or mins at `plane`.
template <bool Wide>
TENON_AVX512 __m512 load_plane(const std::byte* plane) {
  if constexpr (Wide) return _mm512_loadu_ps(reinterpret_cast<const float*>(plane));
  return load_f16(plane);
}

TENON_AVX512 __m512i broadcast_quad(const std::int8_t* at) {
  return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(at));
}

template <int R, bool Wide>
TENON_AVX512 void product_q4_rows(const std::byte* tile, const PackedWeight& w,
                                  const Activations& in, std::int64_t row, float* out) {
  constexpr int kPlane = Wide ? 64 : 32;
  const __m512i low = _mm512_set1_epi8(15);
  const std::int64_t groups = w.groups();
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, tile += 256 + 2 * kPlane) {
    __m512i sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm512_setzero_si512();
    for (int block = 0; block < 4; ++block) {
      const __m512i both = _mm512_loadu_si512(tile + block * 64);
      const __m512i first = _mm512_and_si512(both, low),
                    second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
      for (int r = 0; r < R; ++r) {
        const std::int8_t* values = in.values + (row + r) * in.k + g * TENON_GROUP + block * 4;
        sum[r] = _mm512_dpbusd_epi32(sum[r], first, broadcast_quad(values));
        sum[r] = _mm512_dpbusd_epi32(sum[r], second, broadcast_quad(values + 16));
      }
    }
    const __m512 scale = load_plane<Wide>(tile + 256), min = load_plane<Wide>(tile + 256 + kPlane);
    for (int r = 0; r < R; ++r) {
      const std::int64_t at = (row + r) * groups + g;
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]),
                               _mm512_mul_ps(scale, _mm512_set1_ps(in.scales[at])), acc[r]);
      acc_min[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(in.scaled_sums[at]), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(out + r * kTile, _mm512_add_ps(acc[r], acc_min[r]));
}

// vpdpbusd takes unsigned times signed: w + 128 is unsigned, and -128 * sum(x) takes the shift
// back, exactly.
template <int R, bool Wide>
TENON_AVX512 void product_q8_rows(const std::byte* tile, const PackedWeight& w,
                                  const Activations& in, std::int64_t row, float* out) {
  constexpr int kPlane = Wide ? 64 : 32;
  const __m512i shift = _mm512_set1_epi8(-128);
  const std::int64_t groups = w.groups();
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, tile += w.group_bytes()) {
    __m512i sum[R];
    for (int r = 0; r < R; ++r) {
      const std::int32_t* sums = in.sums + 2 * ((row + r) * groups + g);
      sum[r] = _mm512_set1_epi32(-128 * (sums[0] + sums[1]));
    }
    for (int unit = 0; unit < 8; ++unit) {
      const __m512i values = _mm512_xor_si512(_mm512_loadu_si512(tile + unit * 64), shift);
      for (int r = 0; r < R; ++r)
        sum[r] = _mm512_dpbusd_epi32(
            sum[r], values,
            broadcast_quad(in.values + (row + r) * in.k + g * TENON_GROUP + unit * 4));
    }
    const __m512 scale = load_plane<Wide>(tile + 512);
    for (int r = 0; r < R; ++r) {
      const std::int64_t at = (row + r) * groups + g;
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]),
                               _mm512_mul_ps(scale, _mm512_set1_ps(in.scales[at])), acc[r]);
      if (w.has_min)
        acc_min[r] = _mm512_fmadd_ps(load_plane<Wide>(tile + 512 + kPlane),
                                     _mm512_set1_ps(in.scaled_sums[at]), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r)
    _mm512_storeu_ps(out + r * kTile, w.has_min ? _mm512_add_ps(acc[r], acc_min[r]) : acc[r]);
}

// The two halves of a group have a scale each, and a term of the chain each.
template <int R>
TENON_AVX512 void product_q8n16_rows(const std::byte* tile, const PackedWeight& w,
                                     const Activations& in, std::int64_t row, float* out) {
  const __m512i shift = _mm512_set1_epi8(-128);
  const std::int64_t groups = w.groups();
  __m512 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, tile += 640)
    for (int part = 0; part < 2; ++part) {
      __m512i sum[R];
      for (int r = 0; r < R; ++r)
        sum[r] = _mm512_set1_epi32(-128 * in.sums[2 * ((row + r) * groups + g) + part]);
      for (int unit = 4 * part; unit < 4 * part + 4; ++unit) {
        const __m512i values = _mm512_xor_si512(_mm512_loadu_si512(tile + unit * 64), shift);
        for (int r = 0; r < R; ++r)
          sum[r] = _mm512_dpbusd_epi32(
              sum[r], values,
              broadcast_quad(in.values + (row + r) * in.k + g * TENON_GROUP + unit * 4));
      }
      const __m512 scale = load_plane<true>(tile + 512 + 64 * part);
      for (int r = 0; r < R; ++r)
        acc[r] = _mm512_fmadd_ps(
            _mm512_cvtepi32_ps(sum[r]),
            _mm512_mul_ps(scale, _mm512_set1_ps(in.scales[(row + r) * groups + g])), acc[r]);
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

void product_q4(const std::byte* tile, const PackedWeight& w, const Activations& in,
                std::int64_t row, int rows, float* out) {
  for_rows(rows, [&]<int R>() {
    w.wide ? product_q4_rows<R, true>(tile, w, in, row, out)
           : product_q4_rows<R, false>(tile, w, in, row, out);
  });
}

void product_q8(const std::byte* tile, const PackedWeight& w, const Activations& in,
                std::int64_t row, int rows, float* out) {
  for_rows(rows, [&]<int R>() {
    w.wide ? product_q8_rows<R, true>(tile, w, in, row, out)
           : product_q8_rows<R, false>(tile, w, in, row, out);
  });
}

void product_q8n16(const std::byte* tile, const PackedWeight& w, const Activations& in,
                   std::int64_t row, int rows, float* out) {
  for_rows(rows, [&]<int R>() { product_q8n16_rows<R>(tile, w, in, row, out); });
}

void product_f32(const std::byte* tile, const PackedWeight& w, const Activations& in,
                 std::int64_t row, int rows, float* out) {
  for_rows(rows, [&]<int R>() { product_f32_rows<R>(tile, w, in, row, out); });
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
    return kernels;
  }();
  return kKernels;
}

}  // namespace tenon::cpu
