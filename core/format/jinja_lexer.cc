#include "core/format/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

class Lexer {
 public:
  explicit Lexer(Template& out) : out_(out), source_(out.source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) TENON_TRY(text_then_tag());
    add(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  void add(TokenKind kind, std::string_view text) { tokens_.push_back({kind, line_, text}); }

  void advance(std::size_t to) {
    line_ += static_cast<std::uint32_t>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                   source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  bool starts(std::string_view what) const { return source_.substr(at_).starts_with(what); }

  // The next "{{", "{%" or "{#", or the end.
  std::size_t find_tag() const {
    for (std::size_t i = at_; (i = source_.find('{', i)) != std::string_view::npos; ++i)
      if (i + 1 < source_.size() && is_one_of(source_[i + 1], "{%#")) return i;
    return source_.size();
  }

  Status text_then_tag() {
    const std::size_t tag = find_tag();
    std::string_view text = source_.substr(at_, tag - at_);
    const char kind = tag < source_.size() ? source_[tag + 1] : '\0';
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (kind != '\0') text = strip_before(text, kind, sign);
    if (!text.empty()) add(TokenKind::kText, text);
    advance(tag);
    if (kind == '\0') return {};
    const bool signed_tag = sign == '-' || (sign == '+' && kind != '{');
    advance(tag + (signed_tag ? 3 : 2));
    if (kind == '#') return comment();
    const std::size_t first = tokens_.size();
    add(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kTagBegin, {});
    TENON_TRY(inside(kind == '{' ? "}}" : "%}"));
    if (tokens_.size() == first + 3 && tokens_[first + 1].text == "raw") return raw(first);
    return {};
  }

  // A tag's "-" takes all blank space before it; without a sign a block tag or comment that is the
  // first thing on its line takes the blanks before it.
  std::string_view strip_before(std::string_view text, char kind, char sign) const {
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      return text;
    }
    if (kind == '{' || sign == '+') return text;
    const std::size_t newline = text.rfind('\n');
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return text;
    return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(line), text.end(), is_space)
               ? text.substr(0, line)
               : text;
  }

  // After the end of a tag or comment: "-" takes all blank space, "+" nothing; else a block tag
  // takes one newline.
  void strip_after(char sign, bool block) {
    std::size_t to = at_;
    if (sign == '-')
      while (to < source_.size() && is_space(source_[to])) ++to;
    else if (block && sign != '+' && to < source_.size() && source_[to] == '\n')
      ++to;
    line_starting_ = to > at_ && source_[to - 1] == '\n';
    advance(to);
  }

  Status comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos)
      return template_error("TENON-F040", line_, "a comment does not end",
                            "the end of the template", "\"#}\"");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    advance(end + 2);
    strip_after(sign, true);
    return {};
  }

  // `{% raw %}`: everything up to `{% endraw %}` is text.
  Status raw(std::size_t first) {
    tokens_.resize(first);
    for (std::size_t i = at_; (i = source_.find("{%", i)) != std::string_view::npos; i += 2) {
      std::size_t p = i + 2;
      const char sign = p < source_.size() ? source_[p] : '\0';
      if (sign == '-' || sign == '+') ++p;
      while (p < source_.size() && is_space(source_[p])) ++p;
      if (!source_.substr(p).starts_with("endraw")) continue;
      p += 6;
      while (p < source_.size() && is_space(source_[p])) ++p;
      const char end_sign = p < source_.size() ? source_[p] : '\0';
      if (end_sign == '-' || end_sign == '+') ++p;
      if (!source_.substr(p).starts_with("%}")) continue;
      add(TokenKind::kText, strip_before(source_.substr(at_, i - at_), '%', sign));
      advance(p + 2);
      strip_after(end_sign, true);
      return {};
    }
    return template_error("TENON-F040", line_, "a raw block does not end",
                          "the end of the template", "{% endraw %}");
  }

  Status inside(std::string_view close) {
    int depth = 0;  // of brackets: "}}" may also close two dictionaries
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (is_space(c)) {
        advance(at_ + 1);
        continue;
      }
      if (depth == 0) {
        const bool has_sign = (c == '-' || (c == '+' && close == "%}"));
        if (source_.substr(at_ + (has_sign ? 1 : 0)).starts_with(close)) {
          add(close == "}}" ? TokenKind::kPrintEnd : TokenKind::kTagEnd, {});
          advance(at_ + (has_sign ? 3 : 2));
          strip_after(has_sign ? c : '\0', close == "%}");
          return {};
        }
      }
      if (is_one_of(c, "([{")) ++depth;
      if (is_one_of(c, ")]}")) --depth;
      TENON_TRY(token(c));
    }
    return template_error("TENON-F040", line_, "a tag does not end", "the end of the template",
                          quote_for_message(close));
  }

  Status token(char c) {
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && is_name(source_[end])) ++end;
      add(TokenKind::kName, source_.substr(at_, end - at_));
      at_ = end;
      return {};
    }
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string(c);
    static constexpr std::array<std::string_view, 6> kDouble = {"==", "!=", "<=", ">=", "//", "**"};
    for (const std::string_view op : kDouble)
      if (starts(op)) {
        add(TokenKind::kOperator, source_.substr(at_, 2));
        at_ += 2;
        return {};
      }
    if (is_one_of(c, "+-*/%~<>=()[]{}.,:|")) {
      add(TokenKind::kOperator, source_.substr(at_, 1));
      ++at_;
      return {};
    }
    return template_error("TENON-F040", line_, "a character has no meaning here",
                          quote_for_message(source_.substr(at_, 1)), "an expression");
  }

  Status number() {
    std::size_t end = at_;
    bool real = false;
    std::string digits;
    for (; end < source_.size(); ++end) {
      const char c = source_[end];
      const bool next_digit = end + 1 < source_.size() && is_digit(source_[end + 1]);
      if (c == '_' && next_digit) continue;
      if (c == '.' && !real && next_digit)
        real = true;
      else if (!is_digit(c))
        break;
      digits += c;
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      std::size_t p = end + 1;
      if (p < source_.size() && (source_[p] == '+' || source_[p] == '-')) ++p;
      if (p < source_.size() && is_digit(source_[p])) {
        while (p < source_.size() && is_digit(source_[p])) ++p;
        digits += source_.substr(end, p - end);
        end = p;
        real = true;
      }
    }
    Token out{real ? TokenKind::kFloat : TokenKind::kInteger, line_,
              source_.substr(at_, end - at_)};
    const char* first = digits.data();
    const char* last = first + digits.size();
    const auto read =
        real ? std::from_chars(first, last, out.number) : std::from_chars(first, last, out.integer);
    if (read.ec != std::errc{})
      return template_error("TENON-F040", line_, "a number is out of range",
                            quote_for_message(out.text), "a 64-bit number");
    tokens_.push_back(out);
    at_ = end;
    return {};
  }

  Status string(char quote) {
    const std::uint32_t line = line_;
    std::size_t end = at_ + 1;
    bool escaped = false;
    for (; end < source_.size() && source_[end] != quote; ++end)
      if (source_[end] == '\\') {
        escaped = true;
        ++end;
      }
    if (end >= source_.size())
      return template_error("TENON-F040", line, "a string does not end", "the end of the template",
                            std::string("a closing ") + quote);
    std::string_view text = source_.substr(at_ + 1, end - at_ - 1);
    if (escaped) text = out_.strings.emplace_back(resolve(text));
    tokens_.push_back({TokenKind::kString, line, text});
    advance(end + 1);
    return {};
  }

  // Escapes as in Python string literals; one that is not known keeps its backslash.
  static std::string resolve(std::string_view text) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 == text.size()) {
        out += text[i];
        continue;
      }
      const char c = text[++i];
      const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (const std::size_t simple = kFrom.find(c); simple != std::string_view::npos) {
        out += kTo[simple];
      } else if (const auto code = digits ? read_hex(text.substr(i + 1), digits) : std::nullopt) {
        utf8_append(out, *code);
        i += digits;
      } else if (c >= '0' && c <= '7') {
        std::uint32_t code = 0;
        std::size_t n = 0;
        for (; n < 3 && i + n < text.size() && text[i + n] >= '0' && text[i + n] <= '7'; ++n)
          code = code * 8 + static_cast<std::uint32_t>(text[i + n] - '0');
        utf8_append(out, code);
        i += n - 1;
      } else if (c != '\n') {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  static std::optional<std::uint32_t> read_hex(std::string_view text, std::size_t digits) {
    if (text.size() < digits) return std::nullopt;
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const int value = hex_value(text[i]);
      if (value < 0) return std::nullopt;
      code = code << 4 | static_cast<std::uint32_t>(value);
    }
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    return code <= 0x10FFFF && !surrogate ? std::optional(code) : std::nullopt;
  }

  Template& out_;
  std::string_view source_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starting_ = true;  // nothing but taken blank space stands before at_ on its line
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> lex_template(Template& out) { return Lexer(out).run(); }

}  // namespace tenon::jinja
