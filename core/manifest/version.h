// Versions of plugins and the ranges that a manifest accepts.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

struct Version {
  std::uint32_t major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};

// "1", "1.2" or "1.2.3"; parts left out are 0.
std::optional<Version> parse_version(std::string_view text);
std::string version_text(const Version& version);

// All comparisons hold. Half-open intervals say every form: no comparison accepts everything.
struct VersionRange {
  struct Bound {
    enum class Op { kLess, kLessEqual, kGreater, kGreaterEqual, kEqual } op;
    Version version;
  };
  std::vector<Bound> bounds;
  bool contains(const Version& version) const;
};

// "" accepts every version; "1.2.3" exactly this one; "1.2" every 1.2.x; ">=1.2 <2" what satisfies
// both.
std::optional<VersionRange> parse_version_range(std::string_view text);

}  // namespace tenon
