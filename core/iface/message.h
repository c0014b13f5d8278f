// A message that comes over the boundary with a length that the plugin states.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace tenon::iface {

// The first 64 KiB of it, nothing for null. Longer ones are cut and not refused: an exception of
// the string that keeps the message would have to pass through the plugin.
inline std::string_view bounded_message(const char* text, std::uint64_t length) {
  constexpr std::uint64_t kMost = 64 << 10;
  return text == nullptr ? std::string_view() : std::string_view(text, std::min(length, kMost));
}

}  // namespace tenon::iface
