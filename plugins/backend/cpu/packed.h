// Weights and activations as the kernels read them.
//
// A weight [n, k] is cut into tiles of 16 outputs. A tile holds its groups of 32 along k one after
// the other, so that a product streams through memory once. One group of a tile:
//   q4m32   4 x 64 bytes of values, 16 f16 scales, 16 f16 mins                  320 bytes
//   q8m32   8 x 64 bytes of values, 16 f16 scales, 16 f16 mins if it has mins   544 or 576 bytes
//   f32     32 x 16 floats (any k: one row of 16 floats per value)
// Values come in units of 4 along k: unit u is 64 bytes, byte 4 * output + j holds w[output, 4u +
// j]. q4m32 puts unit u in the low and unit u + 4 in the high nibbles of block u. q8m32 is stored
// as it is, signed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "tenon/abi/contract.h"
#include "tenon/sdk/plugin.hpp"

namespace tenon::cpu {

inline constexpr std::int64_t kTile = 16;
inline constexpr std::int64_t kRowBlock = 4;  // rows of activations that a kernel takes at once

struct AlignedFree {
  void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{64}); }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedFree>;
inline AlignedBytes aligned_bytes(std::size_t bytes) {
  return AlignedBytes(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64})));
}

struct PackedWeight {
  tenon_layout layout = TENON_LAYOUT_F32;
  std::int64_t n = 0, k = 0;
  bool has_min = false;
  AlignedBytes bytes;

  std::int64_t tiles() const { return (n + kTile - 1) / kTile; }
  std::int64_t groups() const { return k / TENON_GROUP; }
  std::int64_t group_bytes() const {
    return layout == TENON_LAYOUT_Q4M32 ? 320 : has_min ? 576 : 544;
  }
  std::int64_t tile_bytes() const {
    return layout == TENON_LAYOUT_F32 ? k * kTile * 4 : groups() * group_bytes();
  }
  const std::byte* tile(std::int64_t t) const { return bytes.get() + t * tile_bytes(); }
};

// Rows [0, rows) of a linear group's input. Quantised layouts read values, scales, scaled_sums,
// sums; the f32 layout reads floats.
struct Activations {
  std::int64_t k = 0;
  std::int8_t* values = nullptr;  // [rows, k]
  float* scales = nullptr;        // [rows, k / 32]: d
  float* scaled_sums = nullptr;   // [rows, k / 32]: d * (float)s
  std::int32_t* sums = nullptr;   // [rows, k / 32]: s
  float* floats = nullptr;        // [rows, k]
};

// Gives `out` the shape of the source and room for its tiles.
void shape_weight(const tenon_weight& source, PackedWeight& out);

// Packs tiles [begin, end); tiles are independent. False when a scale is no f16, which these
// kernels do not store (no storage type that is read so far has such).
bool pack_tiles(const tenon_weight& source, PackedWeight& out, std::int64_t begin,
                std::int64_t end);

// Row `n` as floats, rounded as the contract says.
void unpack_row(const PackedWeight& weight, std::int64_t n, float* out);

}  // namespace tenon::cpu
