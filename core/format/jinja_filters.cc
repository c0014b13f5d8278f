// The filters of chat templates. TENON-F043 names those that are known.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/base/suggest.h"
#include "core/format/jinja_interpreter.h"
#include "core/format/jinja_text.h"
#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

using Filter = Result<Value> (*)(Interpreter&, const Value&, const Arguments&);

Result<std::string_view> text_of(Interpreter& in, const Value& value, std::uint32_t line) {
  if (value.is_string()) return value.s;
  TENON_ASSIGN(const Value text, in.make_string(to_text(value, in.limits().memory_bytes), line));
  return text.s;
}

template <std::string (*kFunction)(std::string_view)>
Result<Value> map_text(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::string_view text, text_of(in, value, given.line));
  return in.make_string(kFunction(text), given.line);
}

Result<Value> trim(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::string_view text, text_of(in, value, given.line));
  in.work().charge(text.size() / 64);
  const Value* characters = given.get(0, "chars");
  if (!characters || !characters->is_string()) return Value::string(strip(text, true, true));
  return Value::string(strip_characters(text, characters->s, true, true));
}

Result<Value> length(Interpreter& in, const Value& value, const Arguments& given) {
  const auto size = [](std::size_t n) { return Value::integer(static_cast<std::int64_t>(n)); };
  in.work().charge(value.s.size() / 64);
  if (value.is_string()) return size(count_characters(value.s));
  if (value.is(Kind::kList)) return size(value.list->items.size());
  if (value.is(Kind::kDict)) return size(value.dict->items.size());
  if (value.is(Kind::kUndefined)) return size(0);
  return in.wrong_type(given.line, "length", value, "a string, list or mapping");
}

Result<Value> to_string_filter(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::string_view text, text_of(in, value, given.line));
  return Value::string(text);
}

Result<Value> same(Interpreter&, const Value& value, const Arguments&) { return value; }

Result<Value> to_integer(Interpreter&, const Value& value, const Arguments& given) {
  const Value* otherwise = given.get(0, "default");
  const Value fallback = otherwise ? *otherwise : Value::integer(0);
  if (value.is_integer()) return Value::integer(value.as_integer());
  double number = value.is(Kind::kFloat) ? value.f : NAN;
  if (value.is_string()) {
    const std::string_view text = strip(value.s, true, true);
    std::int64_t out = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
    if (read.ec == std::errc{} && read.ptr == text.data() + text.size()) return Value::integer(out);
    const auto real = std::from_chars(text.data(), text.data() + text.size(), number);
    if (real.ec != std::errc{} || real.ptr != text.data() + text.size()) return fallback;
  }
  if (!(std::fabs(number) < 9e18)) return fallback;
  return Value::integer(static_cast<std::int64_t>(number));
}

Result<Value> to_real(Interpreter&, const Value& value, const Arguments& given) {
  const Value* otherwise = given.get(0, "default");
  if (value.is_number()) return Value::real(value.as_real());
  double number = 0;
  const std::string_view text = value.is_string() ? strip(value.s, true, true) : "";
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc{} && read.ptr == text.data() + text.size()) return Value::real(number);
  return otherwise ? *otherwise : Value::real(0);
}

Result<Value> absolute(Interpreter& in, const Value& value, const Arguments& given) {
  if (!value.is_number()) return in.wrong_type(given.line, "abs", value, "a number");
  if (value.is(Kind::kFloat)) return Value::real(std::fabs(value.f));
  if (value.as_integer() >= 0) return Value::integer(value.as_integer());
  return in.binary("-", Value::integer(0), value, given.line);
}

Result<Value> default_value(Interpreter&, const Value& value, const Arguments& given) {
  const Value* otherwise = given.get(0, "default_value");
  const Value* also_false = given.get(1, "boolean");
  const bool missing =
      value.is(Kind::kUndefined) || (also_false && truthy(*also_false) && !truthy(value));
  if (!missing) return value;
  return otherwise ? *otherwise : Value::string({});
}

Result<Value> join(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  const Value* between = given.get(0, "d");
  const Value* name = given.get(1, "attribute");
  TENON_ASSIGN(const std::string_view separator,
               text_of(in, between ? *between : Value::string({}), given.line));
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) out += separator;
    Value item = items[i];
    if (name && name->is_string()) {
      TENON_ASSIGN(item, in.attribute(item, name->s, given.line));
    }
    out += to_text(item, in.limits().memory_bytes);
    TENON_TRY(in.check(given.line, out.size()));
  }
  return in.make_string(std::move(out), given.line);
}

Result<Value> first(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  return items.empty() ? Value::undefined("first of nothing") : items.front();
}

Result<Value> last(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  return items.empty() ? Value::undefined("last of nothing") : items.back();
}

Result<Value> list(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(std::vector<Value> items, in.iterate(value, given.line));
  return Value::of(in.arena().list(std::move(items)));
}

Result<Value> reverse(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(std::vector<Value> items, in.iterate(value, given.line));
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return Value::of(in.arena().list(std::move(items)));
  std::string out;
  for (const Value& item : items) out += item.s;
  return in.make_string(std::move(out), given.line);
}

Result<Value> unique(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  std::vector<Value> out;
  for (const Value& item : items) {
    TENON_TRY(in.check(given.line));
    const bool known = std::any_of(out.begin(), out.end(), [&](const Value& other) {
      return equal(lowered(in, item), lowered(in, other), in.work());
    });
    if (!known) out.push_back(item);
  }
  return Value::of(in.arena().list(std::move(out)));
}

// Sorts by the keys of the items; strings without regard to case unless asked.
Result<Value> sorted(Interpreter& in, std::vector<std::pair<Value, Value>> items, bool backwards,
                     bool case_sensitive, std::uint32_t line) {
  bool ordered = true;
  in.work().charge(items.size() * 8);
  if (!case_sensitive)
    for (auto& [key, item] : items) key = lowered(in, key);
  // Checked first: std::sort needs an order that holds for all pairs.
  for (const auto& [key, item] : items)
    ordered = ordered && (key.is_string() || (key.is_number() && key.as_real() == key.as_real())) &&
              key.is_string() == items[0].first.is_string();
  if (!ordered)
    return in.fail("TENON-F042", line, "these items have no order", "items of different kinds",
                   "all strings or all numbers");
  std::stable_sort(items.begin(), items.end(), [&](const auto& a, const auto& b) {
    return compare(a.first, b.first, in.work()) == (backwards ? 1 : -1);
  });
  std::vector<Value> out;
  for (const auto& [key, item] : items) out.push_back(item);
  return Value::of(in.arena().list(std::move(out)));
}

bool flag(const Arguments& given, std::size_t index, std::string_view name) {
  const Value* value = given.get(index, name);
  return value && truthy(*value);
}

Result<Value> sort(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  const Value* name = given.get(2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) {
    Value key = item;
    if (name && name->is_string()) {
      TENON_ASSIGN(key, in.attribute(item, name->s, given.line));
    }
    keyed.emplace_back(key, item);
  }
  return sorted(in, std::move(keyed), flag(given, 0, "reverse"), flag(given, 1, "case_sensitive"),
                given.line);
}

Result<Value> items_of(Interpreter& in, const Value& value, const Arguments& given) {
  if (value.is(Kind::kUndefined)) return Value::of(in.arena().list({}));
  return call_method(in, value, "items", given);
}

Result<Value> dictsort(Interpreter& in, const Value& value, const Arguments& given) {
  if (!value.is(Kind::kDict)) return in.wrong_type(given.line, "dictsort", value, "a mapping");
  const Value* by = given.get(1, "by");
  const bool by_value = by && by->is_string() && by->s == "value";
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.dict->items)
    keyed.emplace_back(by_value ? item : key, Value::of(in.arena().list({key, item}, true)));
  return sorted(in, std::move(keyed), flag(given, 2, "reverse"), flag(given, 0, "case_sensitive"),
                given.line);
}

// Filters that pick from a list take none for an empty one.
Result<std::vector<Value>> pick_from(Interpreter& in, const Value& value, std::uint32_t line) {
  return in.iterate(value.is(Kind::kNone) ? Value::undefined({}) : value, line);
}

// select, reject, selectattr and rejectattr: what passes, or fails, a test.
template <bool kAttribute, bool kWanted>
Result<Value> select(Interpreter& in, const Value& value, const Arguments& given) {
  constexpr std::size_t kName = kAttribute ? 1 : 0;
  TENON_ASSIGN(const std::vector<Value> items, pick_from(in, value, given.line));
  if (kAttribute && (given.positional.empty() || !given.positional[0].is_string()))
    return in.fail("TENON-F042", given.line, "the filter needs the name of an attribute",
                   "no string", "a string as its first argument");
  const bool named = given.positional.size() > kName && given.positional[kName].is_string();
  Arguments rest;
  rest.line = given.line;
  if (named) rest.positional.assign(given.positional.begin() + kName + 1, given.positional.end());
  std::vector<Value> out;
  for (const Value& item : items) {
    Value subject = item;
    if (kAttribute) {
      TENON_ASSIGN(subject, in.attribute(item, given.positional[0].s, given.line));
    }
    bool passes = truthy(subject);
    if (named) {
      TENON_ASSIGN(passes, in.test(given.positional[kName].s, subject, rest));
    }
    if (passes == kWanted) out.push_back(item);
  }
  return Value::of(in.arena().list(std::move(out)));
}

Result<Value> map(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, pick_from(in, value, given.line));
  const Value* name = given.get(~std::size_t{0}, "attribute");
  const Value* otherwise = given.get(~std::size_t{0}, "default");
  const bool by_filter = !given.positional.empty() && given.positional[0].is_string();
  if (!by_filter && !(name && name->is_string()))
    return in.fail("TENON-F042", given.line, "map needs a filter or an attribute", "neither",
                   "map('filter') or map(attribute='name')");
  Arguments rest;
  rest.line = given.line;
  if (by_filter) rest.positional.assign(given.positional.begin() + 1, given.positional.end());
  std::vector<Value> out;
  for (const Value& item : items) {
    Result<Value> mapped = by_filter ? in.filter(given.positional[0].s, item, rest)
                                     : in.attribute(item, name->s, given.line);
    if (!mapped.ok()) return mapped.take_error();
    const bool missing = !by_filter && otherwise && mapped->is(Kind::kUndefined);
    out.push_back(missing ? *otherwise : *mapped);
  }
  return Value::of(in.arena().list(std::move(out)));
}

Result<Value> replace(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::string_view text, text_of(in, value, given.line));
  return call_method(in, Value::string(text), "replace", given);
}

Result<Value> indent(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::string_view text, text_of(in, value, given.line));
  const Value* width = given.get(0, "width");
  std::string by(4, ' ');
  if (width && width->is_string()) by = std::string(width->s);
  if (width && width->is_integer()) {
    const std::int64_t columns = std::clamp<std::int64_t>(width->as_integer(), 0, 1000);
    by.assign(static_cast<std::size_t>(columns), ' ');
  }
  const bool first_too = flag(given, 1, "first"), blank_too = flag(given, 2, "blank");
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (at == 0 ? first_too : (blank_too || end > at)) out += by;
    out += text.substr(at, end - at);
    if (end < text.size()) out += '\n';
    at = end + 1;
    TENON_TRY(in.check(given.line, out.size()));
  }
  return in.make_string(std::move(out), given.line);
}

Result<Value> tojson(Interpreter& in, const Value& value, const Arguments& given) {
  JsonStyle style;
  const Value* ascii = given.get(~std::size_t{0}, "ensure_ascii");
  const Value* width = given.get(0, "indent");
  const Value* separators = given.get(~std::size_t{0}, "separators");
  style.ascii = ascii && truthy(*ascii);
  style.sort_keys = flag(given, ~std::size_t{0}, "sort_keys");
  if (width && width->is_integer())
    style.indent = static_cast<int>(std::clamp<std::int64_t>(width->as_integer(), 0, 100));
  if (separators && separators->is(Kind::kList) && separators->list->items.size() == 2) {
    style.item_separator = separators->list->items[0].s;
    style.key_separator = separators->list->items[1].s;
  }
  std::string out;
  if (!to_json(value, style, in.limits().memory_bytes / 2, out))
    return in.wrong_type(given.line, "tojson", value, "values that JSON can say");
  return in.make_string(std::move(out), given.line);
}

template <int kSign>
Result<Value> extreme(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  if (items.empty()) return Value::undefined("an extreme of nothing");
  Value best = items[0];
  for (const Value& item : items) {
    const int order = compare(item, best, in.work());
    if (order == 2) return in.wrong_type(given.line, "min or max", item, "values with an order");
    if (order == kSign) best = item;
  }
  return best;
}

Result<Value> sum(Interpreter& in, const Value& value, const Arguments& given) {
  TENON_ASSIGN(const std::vector<Value> items, in.iterate(value, given.line));
  Value total = Value::integer(0);
  for (const Value& item : items) {
    TENON_ASSIGN(total, in.binary("+", total, item, given.line));
  }
  return total;
}

struct Entry {
  std::string_view name;
  Filter filter;
};
constexpr std::array kFilters = {
    Entry{"abs", absolute},
    Entry{"capitalize", map_text<capitalize>},
    Entry{"count", length},
    Entry{"d", default_value},
    Entry{"default", default_value},
    Entry{"dictsort", dictsort},
    Entry{"first", first},
    Entry{"float", to_real},
    Entry{"indent", indent},
    Entry{"int", to_integer},
    Entry{"items", items_of},
    Entry{"join", join},
    Entry{"last", last},
    Entry{"length", length},
    Entry{"list", list},
    Entry{"lower", map_text<lower>},
    Entry{"map", map},
    Entry{"max", extreme<1>},
    Entry{"min", extreme<-1>},
    Entry{"reject", select<false, false>},
    Entry{"rejectattr", select<true, false>},
    Entry{"replace", replace},
    Entry{"reverse", reverse},
    Entry{"safe", same},
    Entry{"select", select<false, true>},
    Entry{"selectattr", select<true, true>},
    Entry{"sort", sort},
    Entry{"string", to_string_filter},
    Entry{"sum", sum},
    Entry{"title", map_text<title>},
    Entry{"tojson", tojson},
    Entry{"trim", trim},
    Entry{"unique", unique},
    Entry{"upper", map_text<upper>},
};

}  // namespace

Result<Value> Interpreter::filter(std::string_view name, const Value& value,
                                  const Arguments& given) {
  work_.charge(1);
  TENON_TRY(check(given.line));
  std::vector<std::string> known;
  for (const Entry& entry : kFilters) {
    if (entry.name != name) continue;
    // Filters run filters (map), so they count as nesting.
    if (depth_ >= limits_.depth)
      return fail("TENON-F046", given.line, "the chat template nests too deeply",
                  "more than " + std::to_string(limits_.depth) + " levels", "fewer levels");
    ++depth_;
    Result<Value> out = entry.filter(*this, value, given);
    --depth_;
    return out;
  }
  for (const Entry& entry : kFilters) known.emplace_back(entry.name);
  return fail("TENON-F043", given.line, "this filter is not known", quote_for_message(name),
              "a filter that chat templates may use", suggest_fix(name.substr(0, 40), known));
}

}  // namespace tenon::jinja
