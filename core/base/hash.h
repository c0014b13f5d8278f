// Hashes: xxHash for identity inside one process tree (cache keys, tables), SHA-256 for files and
// pins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

// XXH3-64: did these bytes change by mistake?
std::uint64_t checksum(std::span<const std::byte> bytes);

// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  std::string finish_hex();  // once, at the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
// Streams the file; TENON-B001 when it cannot be read.
Result<std::string> sha256_file(const std::string& path);

}  // namespace tenon
