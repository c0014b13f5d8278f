#include "core/format/jinja_text.h"

#include <algorithm>

#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_upper(c);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out = lower(text);
  if (!out.empty()) out[0] = to_upper(out[0]);
  return out;
}

std::string title(std::string_view text) {
  std::string out = lower(text);
  bool inside = false;
  for (char& c : out) {
    if (!inside) c = to_upper(c);
    inside = is_letter(c) || static_cast<unsigned char>(c) >= 0x80;
  }
  return out;
}

std::string_view strip_characters(std::string_view text, std::string_view set, bool left,
                                  bool right) {
  const auto in_set = [&](std::string_view character) {
    return !character.empty() && set.find(character) != std::string_view::npos;
  };
  while (left && !text.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text, 0));
    if (!in_set(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && text.size() - at < 4 && (text[at] & 0xC0) == 0x80) --at;
    if (utf8_length(text, at) != text.size() - at) at = text.size() - 1;
    if (!in_set(text.substr(at))) break;
    text.remove_suffix(text.size() - at);
  }
  return text;
}

Value lowered(Interpreter& in, const Value& value) {
  if (!value.is_string()) return value;
  in.work().charge(value.s.size() / 16);
  return in.arena().string(lower(value.s));
}

}  // namespace tenon::jinja
