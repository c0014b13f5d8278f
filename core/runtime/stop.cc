#include "core/runtime/stop.h"

#include <algorithm>
#include <utility>

namespace tenon {
namespace {

// The longest end of `text` that is a beginning of `stop`.
std::size_t overlap(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.ends_with(stop.substr(0, length))) return length;
  return 0;
}

}  // namespace

std::string StopMatcher::push(std::string_view text) {
  if (stops_.empty()) return std::string(text);
  held_ += text;
  std::size_t at = std::string::npos, keep = 0;
  for (const std::string& stop : stops_) {
    if (stop.empty()) continue;
    at = std::min(at, held_.find(stop));
    keep = std::max(keep, overlap(held_, stop));
  }
  if (at != std::string::npos) {
    stopped_ = true;
    std::string out = held_.substr(0, at);
    held_.clear();
    return out;
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace tenon
