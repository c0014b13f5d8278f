// The header of a safetensors file: JSON of a fixed structure, read as it comes, so that nothing of
// another structure is ever kept.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<std::uint64_t> shape;
  std::array<std::uint64_t, 2> offsets{};  // into the data: first byte, one past the last
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;                      // by name
  std::vector<std::pair<std::string, std::string>> metadata;  // by key
};

// TENON-F063 to F066. path: for messages.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, const std::string& path);

}  // namespace tenon
