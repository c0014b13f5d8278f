// AVX-512 VNNI: the products, 16 outputs in one register and four multiply-adds a lane and
// instruction. The rest is AVX2's.
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

// vpdpbusd takes unsigned times signed: w + 128 is unsigned, and the sum starts at -128 * sum(x),
// which takes the shift back, exactly.
TENON_AVX512 inline Units load_shifted_bytes(const std::byte* group) {
  const __m512i shift = _mm512_set1_epi8(-128);
  Units out;
  for (int unit = 0; unit < 8; ++unit)
    out.of[unit] = _mm512_xor_si512(_mm512_loadu_si512(group + unit * 64), shift);
  return out;
}

// sum + the products of units [from, to) with one row's values of the group.
template <int From, int To>
TENON_AVX512 inline __m512i dot(const Units& w, const std::int8_t* x, __m512i sum) {
  for (int unit = From; unit < To; ++unit)
    sum = _mm512_dpbusd_epi32(sum, w.of[unit], broadcast_quad(x + 4 * unit));
  return sum;
}

// Kernels take the rows one after the other against a group that stays in registers; R rows are
// R independent chains, which hide each other's latencies.
template <int R, bool Wide>
TENON_AVX512 void product_q4_rows(const std::byte* tile, const PackedWeight& w,
                                  const Activations& in, std::int64_t row, float* out) {
  constexpr int kPlane = Wide ? 64 : 32;
  const std::int64_t groups = w.groups();
  const std::int8_t* x = in.values + row * in.k;
  const float *scales = in.scales + row * groups, *sums = in.scaled_sums + row * groups;
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, tile += 256 + 2 * kPlane, x += TENON_GROUP) {
    const Units units = load_nibbles(tile);
    const __m512 scale = load_plane<Wide>(tile + 256), min = load_plane<Wide>(tile + 256 + kPlane);
    for (int r = 0; r < R; ++r) {
      const __m512 exact =
          _mm512_cvtepi32_ps(dot<0, 8>(units, x + r * in.k, _mm512_setzero_si512()));
      acc[r] = _mm512_fmadd_ps(exact, _mm512_mul_ps(scale, _mm512_set1_ps(scales[r * groups + g])),
                               acc[r]);
      acc_min[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(sums[r * groups + g]), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(out + r * kTile, _mm512_add_ps(acc[r], acc_min[r]));
}

template <int R, bool Wide, bool Min>
TENON_AVX512 void product_q8_rows(const std::byte* tile, const PackedWeight& w,
                                  const Activations& in, std::int64_t row, float* out) {
  constexpr int kPlane = Wide ? 64 : 32;
  const std::int64_t groups = w.groups();
  const std::int8_t* x = in.values + row * in.k;
  const float *scales = in.scales + row * groups, *sums = in.scaled_sums + row * groups;
  const std::int32_t* shifts = in.shifts + row * groups;
  __m512 acc[R], acc_min[R];
  for (int r = 0; r < R; ++r) acc[r] = acc_min[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups;
       ++g, tile += 512 + (Min ? 2 : 1) * kPlane, x += TENON_GROUP) {
    const Units units = load_shifted_bytes(tile);
    const __m512 scale = load_plane<Wide>(tile + 512);
    for (int r = 0; r < R; ++r) {
      const std::int64_t at = r * groups + g;
      const __m512 exact =
          _mm512_cvtepi32_ps(dot<0, 8>(units, x + r * in.k, _mm512_set1_epi32(shifts[at])));
      acc[r] = _mm512_fmadd_ps(exact, _mm512_mul_ps(scale, _mm512_set1_ps(scales[at])), acc[r]);
      if constexpr (Min)
        acc_min[r] = _mm512_fmadd_ps(load_plane<Wide>(tile + 512 + kPlane),
                                     _mm512_set1_ps(sums[at]), acc_min[r]);
    }
  }
  for (int r = 0; r < R; ++r)
    _mm512_storeu_ps(out + r * kTile, Min ? _mm512_add_ps(acc[r], acc_min[r]) : acc[r]);
}

// The two halves of a group have a scale each, and a term of the chain each.
template <int R>
TENON_AVX512 void product_q8n16_rows(const std::byte* tile, const PackedWeight& w,
                                     const Activations& in, std::int64_t row, float* out) {
  const std::int64_t groups = w.groups();
  const std::int8_t* x = in.values + row * in.k;
  const float* scales = in.scales + row * groups;
  const std::int32_t* shifts = in.fine_shifts + 2 * row * groups;
  __m512 acc[R];
  for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, tile += 640, x += TENON_GROUP) {
    const Units units = load_shifted_bytes(tile);
    const __m512 first = load_plane<true>(tile + 512), second = load_plane<true>(tile + 576);
    for (int r = 0; r < R; ++r) {
      const std::int64_t at = r * groups + g;
      const __m512 d = _mm512_set1_ps(scales[at]);
      const __m512i low = dot<0, 4>(units, x + r * in.k, _mm512_set1_epi32(shifts[2 * at]));
      const __m512i high = dot<4, 8>(units, x + r * in.k, _mm512_set1_epi32(shifts[2 * at + 1]));
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), _mm512_mul_ps(first, d), acc[r]);
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_mul_ps(second, d), acc[r]);
    }
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
  for_rows<kRowBlock>(rows, [&]<int R>() {
    w.wide ? product_q4_rows<R, true>(tile, w, in, row, out)
           : product_q4_rows<R, false>(tile, w, in, row, out);
  });
}

void product_q8(const std::byte* tile, const PackedWeight& w, const Activations& in,
                std::int64_t row, int rows, float* out) {
  for_rows<kRowBlock>(rows, [&]<int R>() {
    if (w.has_min)
      w.wide ? product_q8_rows<R, true, true>(tile, w, in, row, out)
             : product_q8_rows<R, false, true>(tile, w, in, row, out);
    else
      w.wide ? product_q8_rows<R, true, false>(tile, w, in, row, out)
             : product_q8_rows<R, false, false>(tile, w, in, row, out);
  });
}

void product_q8n16(const std::byte* tile, const PackedWeight& w, const Activations& in,
                   std::int64_t row, int rows, float* out) {
  for_rows<kRowBlock>(rows, [&]<int R>() { product_q8n16_rows<R>(tile, w, in, row, out); });
}

void product_f32(const std::byte* tile, const PackedWeight& w, const Activations& in,
                 std::int64_t row, int rows, float* out) {
  for_rows<kRowBlock>(rows, [&]<int R>() { product_f32_rows<R>(tile, w, in, row, out); });
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
    kernels.attend = &avx512_attend_kernels();
    return kernels;
  }();
  return kKernels;
}

}  // namespace tenon::cpu
