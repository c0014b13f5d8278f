#include "packed.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace tenon::cpu {
namespace {

// The canonical planes of one tile's 16 rows; rows beyond n are zero.
struct TileRows {
  std::vector<float> floats;
  std::vector<std::int8_t> values;
  std::vector<float> scales, mins;
};

bool store_f16(const std::vector<float>& plane, std::int64_t groups, std::int64_t group,
               std::byte* out) {
  for (int c = 0; c < kTile; ++c) {
    const float value = plane[static_cast<std::size_t>(c * groups + group)];
    const std::uint16_t bits = _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
    if (_cvtsh_ss(bits) != value) return false;
    std::memcpy(out + 2 * c, &bits, 2);
  }
  return true;
}

// Four values of one output, as they lie in memory.
std::uint32_t quad(const std::int8_t* values, int unit) {
  std::uint32_t out;
  std::memcpy(&out, values + 4 * unit, sizeof out);
  return out;
}

bool pack_group(const PackedWeight& w, const TileRows& rows, std::int64_t group, std::byte* out) {
  const bool nibbles = w.layout == TENON_LAYOUT_Q4M32;
  for (std::int64_t c = 0; c < kTile; ++c) {
    const std::int8_t* values = rows.values.data() + c * w.k + group * TENON_GROUP;
    for (int unit = 0; unit < (nibbles ? 4 : 8); ++unit) {
      // Nibbles are below 16, so shifting four of them at once carries nothing over.
      const std::uint32_t four =
          nibbles ? quad(values, unit) | quad(values, unit + 4) << 4 : quad(values, unit);
      std::memcpy(out + unit * 64 + c * 4, &four, sizeof four);
    }
  }
  out += nibbles ? 256 : 512;
  if (!store_f16(rows.scales, w.groups(), group, out)) return false;
  return !w.has_min || store_f16(rows.mins, w.groups(), group, out + 32);
}

bool pack_tile(const PackedWeight& w, const tenon_weight& source, std::int64_t t, TileRows& rows) {
  const std::int64_t first = t * kTile, count = std::min(kTile, w.n - first);
  std::byte* out = w.bytes.get() + t * w.tile_bytes();
  if (w.layout == TENON_LAYOUT_F32) {
    rows.floats.assign(static_cast<std::size_t>(kTile * w.k), 0.0f);
    source.read_rows(source.ctx, first, count, rows.floats.data(), nullptr, nullptr);
    auto* floats = reinterpret_cast<float*>(out);
    for (std::int64_t i = 0; i < w.k; ++i)
      for (std::int64_t c = 0; c < kTile; ++c)
        floats[i * kTile + c] = rows.floats[static_cast<std::size_t>(c * w.k + i)];
    return true;
  }
  rows.values.assign(static_cast<std::size_t>(kTile * w.k), 0);
  rows.scales.assign(static_cast<std::size_t>(kTile * w.groups()), 0.0f);
  rows.mins.assign(rows.scales.size(), 0.0f);
  source.read_rows(source.ctx, first, count, rows.values.data(), rows.scales.data(),
                   w.has_min ? rows.mins.data() : nullptr);
  for (std::int64_t g = 0; g < w.groups(); ++g)
    if (!pack_group(w, rows, g, out + g * w.group_bytes())) return false;
  return true;
}

}  // namespace

void shape_weight(const tenon_weight& source, PackedWeight& out) {
  out.layout = static_cast<tenon_layout>(source.layout);
  out.n = source.n;
  out.k = source.k;
  out.has_min = source.has_min != 0;
  out.bytes = aligned_bytes(static_cast<std::size_t>(out.tiles() * out.tile_bytes()));
}

bool pack_tiles(const tenon_weight& source, PackedWeight& out, std::int64_t begin,
                std::int64_t end) {
  TileRows rows;
  for (std::int64_t t = begin; t < end; ++t)
    if (!pack_tile(out, source, t, rows)) return false;
  return true;
}

void unpack_row(const PackedWeight& w, std::int64_t n, float* out) {
  const std::byte* tile = w.tile(n / kTile);
  const std::int64_t c = n % kTile;
  if (w.layout == TENON_LAYOUT_F32) {
    for (std::int64_t i = 0; i < w.k; ++i)
      out[i] = reinterpret_cast<const float*>(tile)[i * kTile + c];
    return;
  }
  const bool nibbles = w.layout == TENON_LAYOUT_Q4M32;
  const std::int64_t value_bytes = nibbles ? 256 : 512;
  for (std::int64_t g = 0; g < w.groups(); ++g, tile += w.group_bytes()) {
    const auto f16_at = [&](std::int64_t offset) {
      std::uint16_t bits;
      std::memcpy(&bits, tile + value_bytes + offset + 2 * c, 2);
      return _cvtsh_ss(bits);
    };
    const float scale = f16_at(0), min = w.has_min ? f16_at(32) : 0;
    for (int i = 0; i < TENON_GROUP; ++i) {
      const int unit = i / 4;
      const auto byte =
          static_cast<std::uint8_t>(tile[(nibbles ? unit % 4 : unit) * 64 + c * 4 + i % 4]);
      const int value =
          nibbles ? (unit < 4 ? byte & 15 : byte >> 4) : static_cast<std::int8_t>(byte);
      const auto v = static_cast<float>(value);
      out[g * TENON_GROUP + i] = w.has_min ? __builtin_fmaf(scale, v, min) : scale * v;
    }
  }
}

}  // namespace tenon::cpu
