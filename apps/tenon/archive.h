// Streams one member out of a zip archive (a Python wheel is one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/base/error.h"

namespace tenon::app {

using ByteSink = std::function<Status(std::span<const std::byte>)>;

struct ArchiveMember {
  std::string archive;  // path of the file
  std::string member;   // path inside it
  std::string called;   // what the user knows it by, for errors
};

// Gives the member's bytes to `sink`, a piece at a time. An error of the sink ends it. TENON-A015
// when the archive is damaged, has no such member, or the member is not `expected_bytes` long.
Status extract_member(const ArchiveMember& from, std::uint64_t expected_bytes,
                      const ByteSink& sink);

}  // namespace tenon::app
