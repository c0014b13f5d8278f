// Hashes: xxHash for identity inside one process tree (cache keys, tables), SHA-256 for files and
// pins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace tenon {

struct Hash128 {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

// XXH3-128 of `bytes`, chained on `seed` (the hash of what came before).
Hash128 hash_bytes(std::span<const std::byte> bytes, const Hash128& seed = {});
Hash128 hash_text(std::string_view text, const Hash128& seed = {});

std::string sha256_hex(std::span<const std::byte> bytes);
// Streams the file; TENON-B001 when it cannot be read.
Result<std::string> sha256_file(const std::string& path);

}  // namespace tenon
