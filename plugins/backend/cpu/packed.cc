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

// plane: [16, groups]; false when `wide` is not set and a value is no half.
bool store_plane(const std::vector<float>& plane, std::int64_t groups, std::int64_t group,
                 bool wide, std::byte* out) {
  for (int c = 0; c < kTile; ++c) {
    const float value = plane[static_cast<std::size_t>(c * groups + group)];
    if (wide) {
      std::memcpy(out + 4 * c, &value, 4);
      continue;
    }
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

// Nibbles are below 16, so shifting four of them at once carries nothing over.
void store_nibbles(const std::int8_t* values, std::byte* out) {
  for (int unit = 0; unit < 4; ++unit) {
    const std::uint32_t four = quad(values, unit) | quad(values, unit + 4) << 4;
    std::memcpy(out + unit * 64, &four, sizeof four);
  }
}

// Output c's values in five bits; false where they need more.
bool store_fives(const PackedWeight& w, const std::int8_t* values, std::int64_t c, std::byte* out) {
  std::int8_t low[TENON_GROUP];
  std::byte fifth[4] = {};
  for (int i = 0; i < TENON_GROUP; ++i) {
    const int value = values[i] + (w.has_min ? 0 : 16);
    if (value < 0 || value > 31) return false;
    low[i] = static_cast<std::int8_t>(value & 15);
    fifth[i % 4] |= static_cast<std::byte>(value >> 4 << i / 4);
  }
  std::memcpy(out + 256 + c * 4, fifth, sizeof fifth);
  store_nibbles(low, out + c * 4);
  return true;
}

bool pack_group(const PackedWeight& w, const TileRows& rows, std::int64_t group, std::byte* out) {
  for (std::int64_t c = 0; c < kTile; ++c) {
    const std::int8_t* values = rows.values.data() + c * w.k + group * TENON_GROUP;
    if (w.layout == TENON_LAYOUT_Q4M32)
      store_nibbles(values, out + c * 4);
    else if (w.five && !store_fives(w, values, c, out))
      return false;
    for (int unit = 0; w.value_bytes() == 512 && unit < 8; ++unit) {
      const std::uint32_t four = quad(values, unit);
      std::memcpy(out + unit * 64 + c * 4, &four, sizeof four);
    }
  }
  out += w.value_bytes();
  std::byte* const second = out + w.plane_bytes();
  if (w.layout == TENON_LAYOUT_Q8N16)
    return store_plane(rows.scales, 2 * w.groups(), 2 * group, w.wide, out) &&
           store_plane(rows.scales, 2 * w.groups(), 2 * group + 1, w.wide, second);
  return store_plane(rows.scales, w.groups(), group, w.wide, out) &&
         (!w.has_min || store_plane(rows.mins, w.groups(), group, w.wide, second));
}

bool pack_tile(const PackedWeight& w, const tenon_weight& source, std::int64_t t, TileRows& rows) {
  const std::int64_t first = t * kTile, count = std::min(kTile, w.n - first);
  std::byte* out = w.tiles_at + t * w.tile_bytes();
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
  const std::int64_t scales = w.layout == TENON_LAYOUT_Q8N16 ? 2 * w.groups() : w.groups();
  rows.scales.assign(static_cast<std::size_t>(kTile * scales), 0.0f);
  rows.mins.assign(rows.scales.size(), 0.0f);
  source.read_rows(source.ctx, first, count, rows.values.data(), rows.scales.data(),
                   w.has_min ? rows.mins.data() : nullptr);
  for (std::int64_t g = 0; g < w.groups(); ++g)
    if (!pack_group(w, rows, g, out + g * w.group_bytes())) return false;
  return true;
}

// Value i of output c in a group.
int value_at(const PackedWeight& w, const std::byte* group, std::int64_t c, int i) {
  const int unit = i / 4;
  const std::int64_t at = c * 4 + i % 4;
  if (w.value_bytes() == 512) return static_cast<std::int8_t>(group[unit * 64 + at]);
  const auto both = static_cast<std::uint8_t>(group[unit % 4 * 64 + at]);
  const int low = unit < 4 ? both & 15 : both >> 4;
  if (!w.five) return low;
  const auto fifth = static_cast<int>(group[256 + at] >> unit & std::byte{1});
  return low + 16 * fifth - (w.has_min ? 0 : 16);
}

}  // namespace

std::span<const PackForm> pack_forms(const tenon_weight& source) {
  static constexpr PackForm kForms[] = {{false, true}, {true, true}, {false, false}, {true, false}};
  const std::span<const PackForm> all(kForms);
  if (source.layout == TENON_LAYOUT_Q8M32) return all;
  return source.layout == TENON_LAYOUT_Q8N16 ? all.last(1) : all.last(2);
}

PackedWeight shape_weight(const tenon_weight& source, PackForm form) {
  PackedWeight out;
  out.layout = static_cast<tenon_layout>(source.layout);
  out.n = source.n;
  out.k = source.k;
  out.has_min = source.has_min != 0;
  out.wide = form.wide;
  out.five = form.five;
  return out;
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
  const bool halves = w.layout == TENON_LAYOUT_Q8N16;  // of a group, with a scale each
  for (std::int64_t g = 0; g < w.groups(); ++g, tile += w.group_bytes()) {
    const auto plane_at = [&](int plane) {
      const std::byte* at = tile + w.value_bytes() + plane * w.plane_bytes();
      if (w.wide) return reinterpret_cast<const float*>(at)[c];
      return _cvtsh_ss(reinterpret_cast<const std::uint16_t*>(at)[c]);
    };
    const float first = plane_at(0), second = w.has_min || halves ? plane_at(1) : 0;
    for (int i = 0; i < TENON_GROUP; ++i) {
      const int value = value_at(w, tile, c, i);
      const auto v = static_cast<float>(value);
      out[g * TENON_GROUP + i] = w.has_min ? __builtin_fmaf(first, v, second)
                                 : halves && i >= TENON_GROUP_FINE ? second * v
                                                                   : first * v;
    }
  }
}

}  // namespace tenon::cpu
