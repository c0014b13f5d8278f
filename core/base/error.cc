#include "core/base/error.h"

namespace tenon {

std::string Error::to_string() const {
  std::string out = id;
  if (!where.empty()) out += (out.empty() ? "" : " ") + where;
  if (!out.empty()) out += ": ";
  out += message;
  if (!found.empty()) out += "; found " + found;
  if (!expected.empty()) out += "; expected " + expected;
  if (!fix.empty()) out += "; fix: " + fix;
  return out;
}

Error Error::from_string(Code code, std::string_view text) {
  Error out{.code = code};
  constexpr std::size_t kId = 10;  // "TENON-F003"
  if (text.starts_with("TENON-") && text.size() > kId) {
    out.id = text.substr(0, kId);
    text.remove_prefix(kId);
    if (const std::size_t colon = text.find(": "); colon != std::string_view::npos) {
      if (colon > 0) out.where = text.substr(1, colon - 1);
      text.remove_prefix(colon + 2);
    }
  }
  const auto cut = [&text](std::string_view mark) {  // the last part first
    const std::size_t at = text.rfind(mark);
    if (at == std::string_view::npos) return std::string();
    std::string part(text.substr(at + mark.size()));
    text = text.substr(0, at);
    return part;
  };
  if (!out.id.empty()) {
    out.fix = cut("; fix: ");
    out.expected = cut("; expected ");
    out.found = cut("; found ");
  }
  out.message = text;
  return out;
}

}  // namespace tenon
