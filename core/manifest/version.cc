#include "core/manifest/version.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tenon {
namespace {

using Op = VersionRange::Bound::Op;

// The number of parts that were written, or 0 when the text is no version.
int parse_parts(std::string_view text, Version& out) {
  std::array<std::uint32_t*, 3> parts = {&out.major, &out.minor, &out.patch};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, *parts[i]);
    if (error != std::errc() || next == at) return 0;
    if (next == end) return static_cast<int>(i) + 1;
    if (*next != '.') return 0;
    at = next + 1;
  }
  return 0;
}

bool add_bare(std::string_view text, VersionRange& range) {
  Version low;
  const int parts = parse_parts(text, low);
  if (parts == 0) return false;
  if (parts == 3) {
    range.bounds.push_back({Op::kEqual, low});
    return true;
  }
  Version high = low;
  std::uint32_t& last = parts == 1 ? high.major : high.minor;
  if (++last == 0) return false;
  range.bounds.push_back({Op::kGreaterEqual, low});
  range.bounds.push_back({Op::kLess, high});
  return true;
}

bool add_word(std::string_view word, VersionRange& range) {
  static constexpr std::array<std::pair<std::string_view, Op>, 5> kOps = {{
      {">=", Op::kGreaterEqual},
      {"<=", Op::kLessEqual},
      {">", Op::kGreater},
      {"<", Op::kLess},
      {"=", Op::kEqual},
  }};
  for (const auto& [text, op] : kOps) {
    if (!word.starts_with(text)) continue;
    const std::optional<Version> version = parse_version(word.substr(text.size()));
    if (version) range.bounds.push_back({op, *version});
    return version.has_value();
  }
  return add_bare(word, range);
}

bool holds(const VersionRange::Bound& bound, const Version& version) {
  switch (bound.op) {
    case Op::kLess:
      return version < bound.version;
    case Op::kLessEqual:
      return version <= bound.version;
    case Op::kGreater:
      return version > bound.version;
    case Op::kGreaterEqual:
      return version >= bound.version;
    case Op::kEqual:
      return version == bound.version;
  }
  return false;
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  Version out;
  if (parse_parts(text, out) == 0) return std::nullopt;
  return out;
}

std::string version_text(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

bool VersionRange::contains(const Version& version) const {
  return std::all_of(bounds.begin(), bounds.end(),
                     [&](const Bound& bound) { return holds(bound, version); });
}

std::optional<VersionRange> parse_version_range(std::string_view text) {
  VersionRange range;
  while (true) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return range;
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (!add_word(text.substr(begin, end - begin), range)) return std::nullopt;
    text.remove_prefix(end);
  }
}

}  // namespace tenon
