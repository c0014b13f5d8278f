// Weights and activations as the kernels read them.
//
// A weight [n, k] is cut into tiles of 16 outputs. A tile holds its groups of 32 along k one after
// the other, so that a product streams through memory once. One group of a tile:
//   q4m32   4 x 64 bytes of values, 16 scales, 16 mins                  320 or 384 bytes
//   q8m32   8 x 64 bytes of values, 16 scales, 16 mins if it has mins   544 or 576, or 576 or 640
//   q8m32 of 5 bits: 4 x 64 and 64 bytes instead of 8 x 64            352 or 384, or 384 or 448
//   q8n16   8 x 64 bytes of values, 16 scales for each half of k        640 bytes
//   f32     32 x 16 floats (any k: one row of 16 floats per value)
// Scales and mins are halves where all of a weight's are, else floats (the second numbers; q8n16
// always).
// Values come in units of 4 along k: unit u is 64 bytes, byte 4 * output + j holds w[output, 4u +
// j]. q4m32 puts unit u in the low and unit u + 4 in the high nibbles of block u. 8-bit values
// are stored as they are, signed. Where all of them are 0 to 31 (with mins) or -16 to 15 (without:
// 16 is added), their low four bits are stored as q4m32's, and then the fifth: byte 4 * output + j
// has unit u's in bit u.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "memory.h"
#include "tenon/abi/contract.h"
#include "tenon/sdk/plugin.hpp"

namespace tenon::cpu {

// What is written here and in packed.cc about bytes goes by this name: another layout, another name
// (weights that were packed before are kept in files).
inline constexpr const char* kPackFormat = "tiles16/2";

inline constexpr std::int64_t kTile = 16;
inline constexpr std::int64_t kRowBlock = 8;  // rows of activations that a kernel takes at once

// How compactly a weight is stored.
struct PackForm {
  bool wide = false;  // scales and mins are floats
  bool five = false;  // 8-bit values in five bits

  std::uint32_t word() const { return (wide ? 1 : 0) | (five ? 2 : 0); }
  bool operator==(const PackForm&) const = default;
};

inline constexpr std::size_t kMostGroupBytes = 640;  // of a quantised tile

struct PackedWeight {
  tenon_layout layout = TENON_LAYOUT_F32;
  std::int64_t n = 0, k = 0;
  bool has_min = false;
  bool wide = false, five = false;  // as PackForm
  std::byte* tiles_at = nullptr;    // read only once packed; the host's, or `own`
  AlignedBytes own;

  std::int64_t tiles() const { return (n + kTile - 1) / kTile; }
  std::int64_t groups() const { return k / TENON_GROUP; }
  std::int64_t value_bytes() const { return layout == TENON_LAYOUT_Q4M32 ? 256 : five ? 320 : 512; }
  std::int64_t plane_bytes() const { return kTile * (wide ? 4 : 2); }  // 16 scales or mins
  std::int64_t group_bytes() const {
    return value_bytes() + (has_min || layout == TENON_LAYOUT_Q8N16 ? 2 : 1) * plane_bytes();
  }
  std::int64_t tile_bytes() const {
    return layout == TENON_LAYOUT_F32 ? k * kTile * 4 : groups() * group_bytes();
  }
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(tiles() * tile_bytes()); }
  const std::byte* tile(std::int64_t t) const { return tiles_at + t * tile_bytes(); }

  // The same shape with values in eight bits, without tiles.
  PackedWeight in_eight() const {
    PackedWeight out;
    out.layout = layout, out.n = n, out.k = k, out.has_min = has_min, out.wide = wide;
    return out;
  }
};

// 32 neighbouring activations as products read them. One cache line: a row's values and factors in
// arrays of their own cost two threads that fill them up to twice the time of one.
struct alignas(64) ActivationGroup {
  std::int8_t values[TENON_GROUP];
  float scale;       // d
  float scaled_sum;  // d * (float)s
  // -128 times the sum of the values, and of its halves: what unsigned products start from.
  std::int32_t shift;
  std::int32_t fine_shifts[2];
};
static_assert(sizeof(ActivationGroup) == 64);

// Rows [0, rows) of a linear group's input. Quantised layouts read groups; the f32 layout reads
// floats.
struct Activations {
  std::int64_t k = 0;
  ActivationGroup* groups = nullptr;  // [rows, k / 32]
  float* floats = nullptr;            // [rows, k]

  ActivationGroup* row(std::int64_t r) const { return groups + r * (k / TENON_GROUP); }
};

// The forms that a source may have, the smallest first; the last one fits whatever its values are.
std::span<const PackForm> pack_forms(const tenon_weight& source);

// The source's shape, without room for its tiles.
PackedWeight shape_weight(const tenon_weight& source, PackForm form);

// Packs tiles [begin, end); tiles are independent. False when the form does not fit: a scale or min
// is no half, or a value needs more bits. What is in `out` then is of no use.
bool pack_tiles(const tenon_weight& source, PackedWeight& out, std::int64_t begin,
                std::int64_t end);

// Row `n` as floats, rounded as the contract says.
void unpack_row(const PackedWeight& weight, std::int64_t n, float* out);

}  // namespace tenon::cpu
