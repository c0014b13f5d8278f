#include "core/format/jinja_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

constexpr int kMaxPrintDepth = 64;

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const double size = std::fabs(value);
  char buffer[64];
  // Python writes an exponent from 1e16 on and below 1e-4, else the shortest digits.
  const bool plain = size == 0 || (size < 1e16 && size >= 1e-4);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(buffer, end.ptr);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

void append_hex(std::string& out, std::string_view prefix, std::uint32_t code, int digits) {
  out += prefix;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += "0123456789abcdef"[code >> shift & 15];
}

void append_repr(std::string& out, std::string_view text) {
  const bool use_double =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = use_double ? '"' : '\'';
  out += quote;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      append_hex(out, "\\x", byte, 2);
    } else {
      out += c;
    }
  }
  out += quote;
}

class Printer {
 public:
  Printer(std::string& out, std::size_t limit) : out_(out), limit_(limit) {}

  void repr(const Value& value, int depth) {
    if (out_.size() >= limit_) return;
    if (depth > kMaxPrintDepth) {
      out_ += "...";
      return;
    }
    switch (value.kind) {
      case Kind::kString:
        return append_repr(out_, value.s);
      case Kind::kList:
        return list(*value.list, depth);
      case Kind::kDict:
        return dict(*value.dict, depth);
      default:
        out_ += to_text(value, limit_);
    }
  }

 private:
  void list(const List& list, int depth) {
    out_ += list.tuple ? '(' : '[';
    for (std::size_t i = 0; i < list.items.size() && out_.size() < limit_; ++i) {
      if (i) out_ += ", ";
      repr(list.items[i], depth + 1);
    }
    if (list.tuple && list.items.size() == 1) out_ += ',';
    out_ += list.tuple ? ')' : ']';
  }

  void dict(const Dict& dict, int depth) {
    out_ += '{';
    for (std::size_t i = 0; i < dict.items.size() && out_.size() < limit_; ++i) {
      if (i) out_ += ", ";
      repr(dict.items[i].first, depth + 1);
      out_ += ": ";
      repr(dict.items[i].second, depth + 1);
    }
    out_ += '}';
  }

  std::string& out_;
  std::size_t limit_;
};

class JsonPrinter {
 public:
  JsonPrinter(std::string& out, const JsonStyle& style, std::size_t limit)
      : out_(out), style_(style), limit_(limit), item_(style.item_separator) {
    if (item_.empty()) item_ = style.indent >= 0 ? "," : ", ";
  }

  bool print(const Value& value, int depth) {
    if (depth > kMaxPrintDepth) return false;
    if (out_.size() > limit_) return true;
    switch (value.kind) {
      case Kind::kNone:
        out_ += "null";
        return true;
      case Kind::kBool:
        out_ += value.b ? "true" : "false";
        return true;
      case Kind::kInt:
        out_ += std::to_string(value.i);
        return true;
      case Kind::kFloat:
        out_ += std::isfinite(value.f) ? real_text(value.f)
                : std::isnan(value.f)  ? "NaN"
                : value.f < 0          ? "-Infinity"
                                       : "Infinity";
        return true;
      case Kind::kString:
        string(value.s);
        return true;
      case Kind::kList:
        return list(*value.list, depth);
      case Kind::kDict:
        return dict(*value.dict, depth);
      default:
        return false;
    }
  }

 private:
  void newline(int depth) {
    if (style_.indent < 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(style_.indent) * static_cast<std::size_t>(depth), ' ');
  }

  bool list(const List& list, int depth) {
    out_ += '[';
    for (std::size_t i = 0; i < list.items.size() && out_.size() <= limit_; ++i) {
      if (i) out_ += item_;
      newline(depth + 1);
      if (!print(list.items[i], depth + 1)) return false;
    }
    if (!list.items.empty()) newline(depth);
    out_ += ']';
    return true;
  }

  bool dict(const Dict& dict, int depth) {
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style_.sort_keys)
      std::stable_sort(items.begin(), items.end(), [](const auto* a, const auto* b) {
        Work work;
        return compare(a->first, b->first, work) == -1;
      });
    out_ += '{';
    for (std::size_t i = 0; i < items.size() && out_.size() <= limit_; ++i) {
      if (i) out_ += item_;
      newline(depth + 1);
      const Value& key = items[i]->first;
      if (key.is_string()) {
        string(key.s);
      } else {
        out_ += '"';
        if (!print(key, kMaxPrintDepth)) return false;  // scalars only
        out_ += '"';
      }
      out_ += style_.key_separator;
      if (!print(items[i]->second, depth + 1)) return false;
    }
    if (!items.empty()) newline(depth);
    out_ += '}';
    return true;
  }

  void string(std::string_view text) {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f", kTo = "\"\\nrtbf";
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = std::max<std::size_t>(1, utf8_length(text, at));
      const char c = text[at];
      if (const std::size_t special = kFrom.find(c); special != std::string_view::npos) {
        out_ += '\\';
        out_ += kTo[special];
      } else if (static_cast<unsigned char>(c) < 0x20) {
        append_hex(out_, "\\u", static_cast<unsigned char>(c), 4);
      } else if (style_.ascii && length > 1) {
        escape(utf8_decode(text, at, length));
      } else {
        out_ += text.substr(at, length);
      }
      at += length;
    }
    out_ += '"';
  }

  void escape(std::uint32_t code) {
    if (code < 0x10000) return append_hex(out_, "\\u", code, 4);
    append_hex(out_, "\\u", 0xD800 + ((code - 0x10000) >> 10), 4);
    append_hex(out_, "\\u", 0xDC00 + ((code - 0x10000) & 0x3FF), 4);
  }

  std::string& out_;
  const JsonStyle& style_;
  std::size_t limit_;
  std::string_view item_;
};

int sign_of(double a, double b) { return a < b ? -1 : a > b ? 1 : a == b ? 0 : 2; }
int sign_of(std::int64_t a, std::int64_t b) { return a < b ? -1 : a > b; }

}  // namespace

std::string_view kind_name(Kind kind) {
  static constexpr std::string_view kNames[] = {"undefined", "none",    "boolean", "integer",
                                                "float",     "string",  "list",    "mapping",
                                                "macro",     "function"};
  return kNames[static_cast<std::size_t>(kind)];
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [name, value] : items)
    if (equal_scalars(name, key)) return &value;
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (name.is_string() && name.s == key) return &value;
  return nullptr;
}

void Dict::set(const Value& key, const Value& value) {
  for (auto& [name, old] : items)
    if (equal_scalars(name, key)) {
      old = value;
      return;
    }
  items.emplace_back(key, value);
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope; scope = scope->parent)
    for (const auto& [known, value] : scope->names)
      if (known == name) return &value;
  return nullptr;
}

void Scope::set(std::string_view name, const Value& value) {
  for (auto& [known, old] : names)
    if (known == name) {
      old = value;
      return;
    }
  names.emplace_back(name, value);
}

Value Arena::string(std::string text) {
  count(text.size() + sizeof(std::string));
  return Value::string(strings_.emplace_back(std::move(text)));
}

List* Arena::list(std::vector<Value> items, bool tuple) {
  count(sizeof(List) + items.size() * sizeof(Value));
  return &lists_.emplace_back(List{std::move(items), tuple});
}

Dict* Arena::dict() {
  count(sizeof(Dict));
  return &dicts_.emplace_back();
}

Scope* Arena::scope(Scope* parent) {
  count(sizeof(Scope));
  scopes_.emplace_back().parent = parent;
  return &scopes_.back();
}

const Macro* Arena::macro(Macro macro) {
  count(sizeof(Macro));
  return &macros_.emplace_back(macro);
}

bool truthy(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.b;
    case Kind::kInt:
      return value.i != 0;
    case Kind::kFloat:
      return value.f != 0;
    case Kind::kString:
      return !value.s.empty();
    case Kind::kList:
      return !value.list->items.empty();
    case Kind::kDict:
      return value.dict->is_namespace || !value.dict->items.empty();
    default:
      return true;
  }
}

bool is_scalar(const Value& value) { return !value.is(Kind::kList) && !value.is(Kind::kDict); }

bool equal_scalars(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.as_integer() == b.as_integer();
  if (a.is_number() && b.is_number()) return a.as_real() == b.as_real();
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.s == b.s;
    case Kind::kMacro:
      return a.macro == b.macro;
    case Kind::kFunction:
      return a.function == b.function;
    default:
      return false;
  }
}

bool equal(const Value& a, const Value& b, Work& work, int depth) {
  work.charge(1 + (a.is_string() && b.is_string() ? std::min(a.s.size(), b.s.size()) / 64 : 0));
  if (depth == 0 || work.spent()) return false;
  if (is_scalar(a) || a.kind != b.kind) return equal_scalars(a, b);
  if (a.is(Kind::kList))
    return a.list == b.list ||
           std::equal(a.list->items.begin(), a.list->items.end(), b.list->items.begin(),
                      b.list->items.end(),
                      [&](const Value& x, const Value& y) { return equal(x, y, work, depth - 1); });
  if (a.dict == b.dict) return true;
  if (a.dict->items.size() != b.dict->items.size()) return false;
  return std::all_of(a.dict->items.begin(), a.dict->items.end(), [&](const auto& item) {
    work.charge(b.dict->items.size() / 8);
    const Value* other = b.dict->find(item.first);
    return other && equal(item.second, *other, work, depth - 1);
  });
}

int compare(const Value& a, const Value& b, Work& work, int depth) {
  if (a.is_integer() && b.is_integer()) return sign_of(a.as_integer(), b.as_integer());
  if (a.is_number() && b.is_number()) return sign_of(a.as_real(), b.as_real());
  if (a.is_string() && b.is_string()) {
    work.charge(std::min(a.s.size(), b.s.size()) / 64);
    const int c = a.s.compare(b.s);  // UTF-8 orders as its code points do
    return c < 0 ? -1 : c > 0;
  }
  if (!a.is(Kind::kList) || !b.is(Kind::kList) || depth == 0) return 2;
  const auto &x = a.list->items, &y = b.list->items;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
    if (!equal(x[i], y[i], work, depth - 1)) return compare(x[i], y[i], work, depth - 1);
  return x.size() < y.size() ? -1 : x.size() > y.size();
}

std::string to_text(const Value& value, std::size_t limit) {
  switch (value.kind) {
    case Kind::kUndefined:
      return {};
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.b ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.i);
    case Kind::kFloat:
      return real_text(value.f);
    case Kind::kString:
      return std::string(value.s.substr(0, limit));
    case Kind::kList:
    case Kind::kDict:
      return to_repr(value, limit);
    default:
      return std::string("<").append(kind_name(value.kind)) + ">";
  }
}

std::string to_repr(const Value& value, std::size_t limit) {
  std::string out;
  Printer(out, limit).repr(value, 0);
  return out;
}

bool to_json(const Value& value, const JsonStyle& style, std::size_t limit, std::string& out) {
  return JsonPrinter(out, style, limit).print(value, 0);
}

bool is_space(std::uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const std::size_t length = utf8_length(text, 0);
    if (length == 0 || !is_space(utf8_decode(text, 0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && text.size() - at < 4 && (text[at] & 0xC0) == 0x80) --at;
    const std::size_t length = utf8_length(text, at);
    if (length != text.size() - at || !is_space(utf8_decode(text, at, length))) break;
    text.remove_suffix(length);
  }
  return text;
}

std::size_t count_characters(std::string_view text) {
  std::size_t out = 0;
  for (std::size_t at = 0; at < text.size(); ++out)
    at += std::max<std::size_t>(1, utf8_length(text, at));
  return out;
}

}  // namespace tenon::jinja
