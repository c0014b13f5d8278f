// The methods of strings and mappings that chat templates call.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/format/jinja_interpreter.h"
#include "core/format/jinja_text.h"
#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

using Method = Result<Value> (*)(Interpreter&, const Value&, const Arguments&);

// Linear, where std::string_view::find is quadratic at worst.
std::size_t find_text(std::string_view text, std::string_view what, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* at = ::memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return at ? static_cast<std::size_t>(static_cast<const char*>(at) - text.data())
            : std::string_view::npos;
}

template <bool kLeft, bool kRight>
Result<Value> strip_method(Interpreter& in, const Value& text, const Arguments& given) {
  const Value* set = given.get(0, "chars");
  in.work().charge(text.s.size() / 64);
  if (!set || set->is(Kind::kNone)) return Value::string(strip(text.s, kLeft, kRight));
  if (!set->is_string()) return in.wrong_type(given.line, "strip()", *set, "a string");
  return Value::string(strip_characters(text.s, set->s, kLeft, kRight));
}

template <std::string (*kFunction)(std::string_view)>
Result<Value> case_method(Interpreter& in, const Value& text, const Arguments& given) {
  return in.make_string(kFunction(text.s), given.line);
}

template <bool kStart>
Result<Value> affix(Interpreter& in, const Value& text, const Arguments& given) {
  const Value* what = given.get(0, "prefix");
  if (!what) return Value::boolean(false);
  const auto matches = [&](const Value& value) {
    in.work().charge(1 + value.s.size() / 64);
    return value.is_string() && (kStart ? text.s.starts_with(value.s) : text.s.ends_with(value.s));
  };
  if (what->is(Kind::kList))
    return Value::boolean(std::any_of(what->list->items.begin(), what->list->items.end(), matches));
  if (!what->is_string())
    return in.wrong_type(given.line, "startswith() or endswith()", *what, "a string");
  return Value::boolean(matches(*what));
}

Result<std::int64_t> most_parts(Interpreter& in, const Arguments& given, std::size_t index,
                                std::string_view name) {
  const Value* most = given.get(index, name);
  if (!most) return std::int64_t{-1};
  if (!most->is_integer()) return in.wrong_type(given.line, name, *most, "an integer");
  return most->as_integer();
}

std::vector<Value> split_blanks(std::string_view text, std::int64_t most) {
  std::vector<Value> out;
  for (text = strip(text, true, false); !text.empty(); text = strip(text, true, false)) {
    std::size_t end = 0;
    while (end < text.size()) {
      const std::size_t length = utf8_length(text, end);
      if (length != 0 && is_space(utf8_decode(text, end, length))) break;
      end += std::max<std::size_t>(1, length);
    }
    if (most >= 0 && static_cast<std::int64_t>(out.size()) == most) {
      out.push_back(Value::string(strip(text, false, true)));
      break;
    }
    out.push_back(Value::string(text.substr(0, end)));
    text.remove_prefix(end);
  }
  return out;
}

Result<Value> split(Interpreter& in, const Value& text, const Arguments& given) {
  TENON_ASSIGN(const std::int64_t most, most_parts(in, given, 1, "maxsplit"));
  const Value* by = given.get(0, "sep");
  in.work().charge(text.s.size() / 8);
  TENON_TRY(in.check(given.line, text.s.size()));
  if (!by || by->is(Kind::kNone)) return Value::of(in.arena().list(split_blanks(text.s, most)));
  if (!by->is_string() || by->s.empty())
    return in.wrong_type(given.line, "split()", *by, "a string that is not empty");
  std::vector<Value> out;
  std::size_t at = 0;
  while (most < 0 || static_cast<std::int64_t>(out.size()) < most) {
    const std::size_t next = find_text(text.s, by->s, at);
    if (next == std::string_view::npos) break;
    out.push_back(Value::string(text.s.substr(at, next - at)));
    at = next + by->s.size();
  }
  out.push_back(Value::string(text.s.substr(at)));
  in.work().charge(out.size());
  return Value::of(in.arena().list(std::move(out)));
}

Result<Value> rsplit(Interpreter& in, const Value& text, const Arguments& given) {
  TENON_ASSIGN(const std::int64_t most, most_parts(in, given, 1, "maxsplit"));
  const Value* by = given.get(0, "sep");
  if (!by || !by->is_string() || by->s.empty())
    return in.fail("TENON-F042", given.line, "rsplit() needs a separator", "none",
                   "a string that is not empty");
  std::vector<Value> out;
  std::string_view rest = text.s;
  in.work().charge(text.s.size() / 8);
  TENON_TRY(in.check(given.line, text.s.size()));
  for (std::size_t at = rest.size();
       rest.size() >= by->s.size() && (most < 0 || static_cast<std::int64_t>(out.size()) < most);) {
    // One comparison a place: the separator is short, and the work is charged.
    while (at != std::string_view::npos && !rest.substr(0, at).ends_with(by->s)) {
      in.work().charge(1);
      at = at == 0 ? std::string_view::npos : at - 1;
    }
    TENON_TRY(in.check(given.line));
    if (at == std::string_view::npos) break;
    out.push_back(Value::string(rest.substr(at)));
    rest = rest.substr(0, at - by->s.size());
    at = rest.size();
  }
  out.push_back(Value::string(rest));
  std::reverse(out.begin(), out.end());
  return Value::of(in.arena().list(std::move(out)));
}

Result<Value> replace(Interpreter& in, const Value& text, const Arguments& given) {
  const Value *from = given.get(0, "old"), *to = given.get(1, "new");
  if (!from || !to || !from->is_string() || !to->is_string())
    return in.fail("TENON-F042", given.line, "replace() needs two strings", "something else",
                   "what to replace, and by what");
  TENON_ASSIGN(const std::int64_t most, most_parts(in, given, 2, "count"));
  std::string out;
  std::size_t at = 0;
  for (std::int64_t done = 0; most < 0 || done < most; ++done) {
    const std::size_t next = find_text(text.s, from->s, from->s.empty() && done > 0 ? at + 1 : at);
    if (next == std::string_view::npos || next > text.s.size()) break;
    out += text.s.substr(at, next - at);
    out += to->s;
    at = next + from->s.size();
    in.work().charge(1);
    TENON_TRY(in.check(given.line, out.size()));
  }
  if (at < text.s.size()) out += text.s.substr(at);
  return in.make_string(std::move(out), given.line);
}

Result<Value> find_method(Interpreter& in, const Value& text, const Arguments& given) {
  const Value* what = given.get(0, "sub");
  if (!what || !what->is_string())
    return in.fail("TENON-F042", given.line, "find() needs a string", "something else", "a string");
  in.work().charge(text.s.size() / 32);
  const std::size_t at = find_text(text.s, what->s, 0);
  if (at == std::string_view::npos) return Value::integer(-1);
  return Value::integer(static_cast<std::int64_t>(count_characters(text.s.substr(0, at))));
}

Result<Value> count_method(Interpreter& in, const Value& text, const Arguments& given) {
  const Value* what = given.get(0, "sub");
  if (!what || !what->is_string() || what->s.empty())
    return in.fail("TENON-F042", given.line, "count() needs a string", "something else",
                   "a string");
  in.work().charge(text.s.size() / 16);
  std::int64_t out = 0;
  for (std::size_t at = 0; (at = find_text(text.s, what->s, at)) != std::string_view::npos; ++out)
    at += what->s.size();
  return Value::integer(out);
}

Result<Value> join_method(Interpreter& in, const Value& text, const Arguments& given) {
  if (given.positional.size() != 1)
    return in.fail("TENON-F042", given.line, "join() needs a list", "something else", "a list");
  Arguments by;
  by.line = given.line;
  by.positional = {text};
  return in.filter("join", given.positional[0], by);
}

// "{}", "{0}" and "{name}", without format specifications.
Result<Value> format(Interpreter& in, const Value& text, const Arguments& given) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < text.s.size(); ++at) {
    const char c = text.s[at];
    if ((c == '{' || c == '}') && text.s.substr(at + 1, 1) == std::string_view(&c, 1)) {
      out += c;
      ++at;
      continue;
    }
    if (c != '{') {
      out += c;
      continue;
    }
    const std::size_t end = std::min(text.s.find('}', at), text.s.size());
    const std::string_view field = text.s.substr(at + 1, end - at - 1);
    const bool digits =
        !field.empty() && field.size() < 4 &&
        std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; });
    std::size_t index = ~std::size_t{0};
    if (field.empty()) index = next++;
    if (digits) index = static_cast<std::size_t>(std::stoul(std::string(field)));
    const Value* value = given.get(index, digits || field.empty() ? "" : field);
    if (end == text.s.size() || !value)
      return in.fail("TENON-F042", given.line, "format() cannot fill a field",
                     quote_for_message(field), "{}, {0} or {name} with an argument for it");
    out += to_text(*value, in.limits().memory_bytes);
    TENON_TRY(in.check(given.line, out.size()));
    at = end;
  }
  return in.make_string(std::move(out), given.line);
}

Result<Value> dict_get(Interpreter& in, const Value& dict, const Arguments& given) {
  const Value *key = given.get(0, "key"), *otherwise = given.get(1, "default");
  in.work().charge(dict.dict->items.size() / 8);
  const Value* found = key ? dict.dict->find(*key) : nullptr;
  return found ? *found : otherwise ? *otherwise : Value::none();
}

enum class Part { kKeys, kValues, kItems };
template <Part kPart>
Result<Value> dict_part(Interpreter& in, const Value& dict, const Arguments&) {
  std::vector<Value> out;
  in.work().charge(dict.dict->items.size());
  for (const auto& [key, value] : dict.dict->items)
    out.push_back(kPart == Part::kKeys     ? key
                  : kPart == Part::kValues ? value
                                           : Value::of(in.arena().list({key, value}, true)));
  return Value::of(in.arena().list(std::move(out)));
}

struct Entry {
  Kind kind;
  std::string_view name;
  Method method;
};
constexpr std::array kMethods = {
    Entry{Kind::kString, "strip", strip_method<true, true>},
    Entry{Kind::kString, "lstrip", strip_method<true, false>},
    Entry{Kind::kString, "rstrip", strip_method<false, true>},
    Entry{Kind::kString, "upper", case_method<upper>},
    Entry{Kind::kString, "lower", case_method<lower>},
    Entry{Kind::kString, "capitalize", case_method<capitalize>},
    Entry{Kind::kString, "title", case_method<title>},
    Entry{Kind::kString, "startswith", affix<true>},
    Entry{Kind::kString, "endswith", affix<false>},
    Entry{Kind::kString, "split", split},
    Entry{Kind::kString, "rsplit", rsplit},
    Entry{Kind::kString, "replace", replace},
    Entry{Kind::kString, "find", find_method},
    Entry{Kind::kString, "count", count_method},
    Entry{Kind::kString, "join", join_method},
    Entry{Kind::kString, "format", format},
    Entry{Kind::kDict, "get", dict_get},
    Entry{Kind::kDict, "keys", dict_part<Part::kKeys>},
    Entry{Kind::kDict, "values", dict_part<Part::kValues>},
    Entry{Kind::kDict, "items", dict_part<Part::kItems>},
};

const Entry* find_method_entry(const Value& object, std::string_view name) {
  if (object.is(Kind::kDict) && object.dict->is_namespace) return nullptr;
  for (const Entry& entry : kMethods)
    if (entry.kind == object.kind && entry.name == name) return &entry;
  return nullptr;
}

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  return find_method_entry(object, name) != nullptr;
}

Result<Value> call_method(Interpreter& in, const Value& object, std::string_view name,
                          const Arguments& given) {
  if (const Entry* entry = find_method_entry(object, name)) return entry->method(in, object, given);
  return in.wrong_type(given.line, std::string(name) + "()", object, "a value with that method");
}

}  // namespace tenon::jinja
