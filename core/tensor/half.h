// f16 to f32 (exact) and back (round to nearest even), by the instruction that every x86-64-v3
// machine has.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tenon {

inline float f32_from_f16(std::uint16_t bits) { return _cvtsh_ss(bits); }
inline std::uint16_t f16_from_f32(float value) {
  return static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

}  // namespace tenon
