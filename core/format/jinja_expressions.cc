#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/checked.h"
#include "core/format/jinja_interpreter.h"
#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

// Where each character starts, and the end; for indexing by character.
std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < text.size();) {
    out.push_back(at);
    at += std::max<std::size_t>(1, utf8_length(text, at));
  }
  out.push_back(text.size());
  return out;
}

struct SliceBounds {
  std::int64_t from, to, step;
};

// Python's rules for a sequence of `size`; steps are 1 or more, or -1 or less.
SliceBounds slice_bounds(const Value* from, const Value* to, std::int64_t step, std::int64_t size) {
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto place = [&](const Value* value, std::int64_t otherwise) {
    if (!value) return otherwise;
    std::int64_t at = value->as_integer();
    if (at < 0) at = std::max(at, -size - 1) + size;
    return std::clamp(at, low, high);
  };
  return {place(from, step > 0 ? 0 : size - 1), place(to, step > 0 ? size : -1), step};
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::optional<std::int64_t> integer_power(std::int64_t base, std::int64_t exponent) {
  std::optional<std::int64_t> out = 1;
  if (base == 1 || base == 0) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  for (std::int64_t i = 0; out && i < exponent; ++i) out = checked_mul(*out, base);
  return out;
}

std::optional<std::int64_t> integer_result(std::string_view op, std::int64_t a, std::int64_t b) {
  if (op == "+") return checked_add(a, b);
  if (op == "-") {
    std::int64_t out;
    return __builtin_sub_overflow(a, b, &out) ? std::nullopt : std::optional(out);
  }
  if (op == "*") return checked_mul(a, b);
  if (op == "**") return integer_power(a, b);
  if (b == -1)  // the least integer has no positive twin
    return op == "//" ? checked_mul<std::int64_t>(a, -1) : std::optional<std::int64_t>(0);
  const std::int64_t quotient = floor_divide(a, b);
  return op == "//" ? quotient : a - quotient * b;
}

double real_result(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  if (op == "**") return std::pow(a, b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

}  // namespace

Result<Value> Interpreter::make_string(std::string text, std::uint32_t line) {
  work_.charge(text.size() / 64);
  TENON_TRY(check(line, text.size()));
  return arena_.string(std::move(text));
}

Result<std::vector<Value>> Interpreter::iterate(const Value& value, std::uint32_t line) {
  std::vector<Value> out;
  if (value.is(Kind::kList)) {
    out = value.list->items;
  } else if (value.is(Kind::kDict) && !value.dict->is_namespace) {
    for (const auto& [key, ignored] : value.dict->items) out.push_back(key);
  } else if (value.is_string()) {
    TENON_TRY(check(line, value.s.size() * sizeof(Value)));
    const std::vector<std::size_t> starts = character_starts(value.s);
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
      out.push_back(Value::string(value.s.substr(starts[i], starts[i + 1] - starts[i])));
  } else if (!value.is(Kind::kUndefined)) {
    return wrong_type(line, "a loop", value, "a list, mapping or string");
  }
  work_.charge(out.size());
  return out;
}

Result<Value> Interpreter::evaluate(NodeId id, Scope* scope) {
  const Node& node = source_[id];
  work_.charge(1);
  TENON_TRY(check(node.line));
  if (depth_ >= limits_.depth)
    return fail("TENON-F046", node.line, "the chat template nests too deeply",
                "more than " + std::to_string(limits_.depth) + " levels", "fewer levels");
  ++depth_;
  Result<Value> out = [&]() -> Result<Value> {
    switch (node.kind) {
      case NodeKind::kName:
        return lookup(node, scope);
      case NodeKind::kCaptured:
        return captured_;
      case NodeKind::kList:
      case NodeKind::kTuple:
      case NodeKind::kDict:
        return evaluate_container(node, scope);
      case NodeKind::kConditional:
      case NodeKind::kAnd:
      case NodeKind::kOr:
      case NodeKind::kNot:
      case NodeKind::kChain:
        return evaluate_logic(node, scope);
      case NodeKind::kNegate:
      case NodeKind::kPlus:
        return evaluate_sign(node, scope);
      case NodeKind::kCall:
        return call(node, scope);
      case NodeKind::kSlice:
        return slice(node, scope);
      case NodeKind::kAttribute:
      case NodeKind::kIndex:
      case NodeKind::kFilter:
      case NodeKind::kTest:
      case NodeKind::kBinary:
      case NodeKind::kCompare:
        return evaluate_applied(node, scope);
      default:
        return evaluate_literal(node);
    }
  }();
  --depth_;
  // A comparison that ran out of work has no meaning.
  if (out.ok() && work_.spent()) TENON_TRY(check(node.line));
  return out;
}

Result<Value> Interpreter::evaluate_literal(const Node& node) {
  switch (node.kind) {
    case NodeKind::kTrue:
    case NodeKind::kFalse:
      return Value::boolean(node.kind == NodeKind::kTrue);
    case NodeKind::kInteger:
      return Value::integer(node.integer);
    case NodeKind::kFloat:
      return Value::real(node.number);
    case NodeKind::kString:
      return Value::string(node.text);
    default:
      return Value::none();
  }
}

Result<Value> Interpreter::lookup(const Node& node, Scope* scope) {
  for (const Scope* s = scope; s; s = s->parent) work_.charge(s->names.size() / 8);
  const Value* found = scope->find(node.text);
  return found ? *found : Value::undefined(node.text);
}

Result<Value> Interpreter::evaluate_container(const Node& node, Scope* scope) {
  if (node.kind != NodeKind::kDict) {
    std::vector<Value> items;
    for (const NodeId child : node.children) {
      TENON_ASSIGN(const Value value, evaluate(child, scope));
      items.push_back(value);
    }
    return Value::of(arena_.list(std::move(items), node.kind == NodeKind::kTuple));
  }
  Dict* const dict = arena_.dict();
  for (std::size_t i = 0; i < node.children.size(); i += 2) {
    TENON_ASSIGN(const Value key, evaluate(node.children[i], scope));
    if (!is_scalar(key)) return wrong_type(node.line, "a mapping's key", key, "a string or number");
    TENON_ASSIGN(const Value value, evaluate(node.children[i + 1], scope));
    work_.charge(dict->items.size() / 8);
    arena_.count(sizeof(Value) * 2);
    dict->set(key, value);
  }
  return Value::of(dict);
}

Result<Value> Interpreter::evaluate_logic(const Node& node, Scope* scope) {
  if (node.kind == NodeKind::kChain) {
    for (const NodeId part : node.children) {
      TENON_ASSIGN(const Value value, evaluate(part, scope));
      if (!truthy(value)) return value;
    }
    return Value::boolean(true);
  }
  if (node.kind == NodeKind::kConditional) {
    TENON_ASSIGN(const Value condition, evaluate(node.children[1], scope));
    if (truthy(condition)) return evaluate(node.children[0], scope);
    if (node.children[2] != kNoNode) return evaluate(node.children[2], scope);
    return Value::undefined("the missing else");
  }
  TENON_ASSIGN(const Value left, evaluate(node.children[0], scope));
  if (node.kind == NodeKind::kNot) return Value::boolean(!truthy(left));
  return truthy(left) == (node.kind == NodeKind::kOr) ? left : evaluate(node.children[1], scope);
}

Result<Value> Interpreter::evaluate_sign(const Node& node, Scope* scope) {
  TENON_ASSIGN(const Value value, evaluate(node.children[0], scope));
  if (!value.is_number()) return wrong_type(node.line, "a sign", value, "a number");
  if (node.kind == NodeKind::kPlus) return value;
  if (value.is(Kind::kFloat)) return Value::real(-value.f);
  return binary("-", Value::integer(0), value, node.line);
}

Result<Value> Interpreter::evaluate_applied(const Node& node, Scope* scope) {
  TENON_ASSIGN(const Value left, evaluate(node.children[0], scope));
  if (node.kind == NodeKind::kAttribute) return attribute(left, node.text, node.line);
  if (node.kind == NodeKind::kFilter || node.kind == NodeKind::kTest) {
    TENON_ASSIGN(const Arguments given, arguments(node, scope));
    if (node.kind == NodeKind::kFilter) return filter(node.text, left, given);
    TENON_ASSIGN(const bool passed, test(node.text, left, given));
    return Value::boolean(passed != node.negated);
  }
  TENON_ASSIGN(const Value right, evaluate(node.children[1], scope));
  if (node.kind == NodeKind::kIndex) return index(left, right, node.line);
  if (node.kind == NodeKind::kBinary) return binary(node.text, left, right, node.line);
  TENON_ASSIGN(const bool holds, comparison(node.text, left, right, node.line));
  return Value::boolean(holds);
}

Result<Value> Interpreter::attribute(const Value& object, std::string_view name,
                                     std::uint32_t line) {
  if (object.is(Kind::kUndefined))
    return fail("TENON-F041", line, "an undefined value has no attributes",
                quote_for_message(object.s) + "." + std::string(name.substr(0, 80)),
                "a value that is defined", "check the message's fields");
  if (!object.is(Kind::kDict)) return Value::undefined(name);
  work_.charge(object.dict->items.size() / 8);
  const Value* found = object.dict->find(name);
  return found ? *found : Value::undefined(name);
}

Result<Value> Interpreter::index(const Value& object, const Value& key, std::uint32_t line) {
  if (object.is(Kind::kUndefined) || (object.is(Kind::kDict) && key.is_string()))
    return attribute(object, key.is_string() ? key.s : "[]", line);
  if (object.is(Kind::kDict)) {
    work_.charge(object.dict->items.size() / 8);
    const Value* found = object.dict->find(key);
    return found ? *found : Value::undefined("[]");
  }
  if (!key.is_integer()) return Value::undefined(key.is_string() ? key.s : "[]");
  std::int64_t at = key.as_integer();
  if (object.is(Kind::kList)) {
    const auto size = static_cast<std::int64_t>(object.list->items.size());
    if (at < 0) at = at < -size ? size : at + size;
    return at < size ? object.list->items[static_cast<std::size_t>(at)] : Value::undefined("[]");
  }
  if (!object.is_string()) return Value::undefined("[]");
  work_.charge(object.s.size() / 8);
  TENON_TRY(check(line, object.s.size() * sizeof(std::size_t)));
  const std::vector<std::size_t> starts = character_starts(object.s);
  const auto size = static_cast<std::int64_t>(starts.size()) - 1;
  if (at < 0) at = at < -size ? size : at + size;
  if (at >= size) return Value::undefined("[]");
  const auto i = static_cast<std::size_t>(at);
  return Value::string(object.s.substr(starts[i], starts[i + 1] - starts[i]));
}

Result<Value> Interpreter::slice(const Node& node, Scope* scope) {
  Value parts[4];
  const Value* bounds[3] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    if (node.children[i] == kNoNode) continue;
    TENON_ASSIGN(parts[i], evaluate(node.children[i], scope));
    if (i == 0 || parts[i].is(Kind::kNone)) continue;
    if (!parts[i].is_integer()) return wrong_type(node.line, "a slice", parts[i], "integers");
    bounds[i - 1] = &parts[i];
  }
  const Value& object = parts[0];
  const std::int64_t step = bounds[2] ? bounds[2]->as_integer() : 1;
  if (step == 0 || step == INT64_MIN)
    return fail("TENON-F042", node.line, "a slice's step cannot be used", std::to_string(step),
                "a step that is not 0");
  if (object.is_string()) {
    work_.charge(object.s.size() / 8);
    TENON_TRY(check(node.line, object.s.size() * sizeof(std::size_t)));
    const std::vector<std::size_t> starts = character_starts(object.s);
    const SliceBounds at =
        slice_bounds(bounds[0], bounds[1], step, static_cast<std::int64_t>(starts.size()) - 1);
    if (step == 1) {
      const auto from = static_cast<std::size_t>(at.from), to = static_cast<std::size_t>(at.to);
      if (from >= to) return Value::string({});
      return Value::string(object.s.substr(starts[from], starts[to] - starts[from]));
    }
    std::string text;
    for (std::int64_t i = at.from; step > 0 ? i < at.to : i > at.to; i += step) {
      const auto k = static_cast<std::size_t>(i);
      text += object.s.substr(starts[k], starts[k + 1] - starts[k]);
      if (step > INT64_MAX - std::max<std::int64_t>(i, 0)) break;
    }
    return make_string(std::move(text), node.line);
  }
  if (!object.is(Kind::kList)) return wrong_type(node.line, "a slice", object, "a list or string");
  const auto& items = object.list->items;
  const SliceBounds at =
      slice_bounds(bounds[0], bounds[1], step, static_cast<std::int64_t>(items.size()));
  std::vector<Value> out;
  for (std::int64_t i = at.from; step > 0 ? i < at.to : i > at.to; i += step) {
    out.push_back(items[static_cast<std::size_t>(i)]);
    if (step > INT64_MAX - std::max<std::int64_t>(i, 0)) break;
  }
  work_.charge(out.size());
  return Value::of(arena_.list(std::move(out), object.list->tuple));
}

Result<Value> Interpreter::binary(std::string_view op, const Value& a, const Value& b,
                                  std::uint32_t line) {
  if (op == "~") {
    std::string text = to_text(a, limits_.memory_bytes);
    TENON_TRY(check(line, text.size()));
    return make_string(text += to_text(b, limits_.memory_bytes), line);
  }
  if (a.is_number() && b.is_number()) {
    const bool divides = op == "/" || op == "//" || op == "%";
    if (divides && b.as_real() == 0)
      return fail("TENON-F042", line, "a division by zero", "0", "a divisor that is not 0");
    const bool whole =
        a.is_integer() && b.is_integer() && op != "/" && !(op == "**" && b.as_integer() < 0);
    if (!whole) return Value::real(real_result(op, a.as_real(), b.as_real()));
    const auto out = integer_result(op, a.as_integer(), b.as_integer());
    if (!out)
      return fail("TENON-F042", line, "a number is out of range", "more than 64 bits",
                  "a 64-bit integer");
    return Value::integer(*out);
  }
  if (op == "+" && a.is_string() && b.is_string()) {
    TENON_TRY(check(line, a.s.size() + b.s.size()));
    std::string text(a.s);
    return make_string(text += b.s, line);
  }
  if (op == "+" && a.is(Kind::kList) && b.is(Kind::kList)) {
    std::vector<Value> items = a.list->items;
    items.insert(items.end(), b.list->items.begin(), b.list->items.end());
    work_.charge(items.size());
    TENON_TRY(check(line, items.size() * sizeof(Value)));
    return Value::of(arena_.list(std::move(items), a.list->tuple));
  }
  if (op == "*" && ((a.is_string() && b.is_integer()) || (a.is_integer() && b.is_string()))) {
    const Value& text = a.is_string() ? a : b;
    const std::int64_t times = std::max<std::int64_t>(0, (a.is_string() ? b : a).as_integer());
    const auto bytes = checked_mul<std::uint64_t>(text.s.size(), static_cast<std::uint64_t>(times));
    TENON_TRY(check(line, bytes.value_or(~std::uint64_t{0})));
    std::string out;
    if (!text.s.empty())
      for (std::int64_t i = 0; i < times; ++i) out += text.s;
    return make_string(std::move(out), line);
  }
  const Value& culprit = a.is_number() || (a.kind == b.kind) ? b : a;
  return wrong_type(line, quote_for_message(op), a.is(Kind::kUndefined) ? a : culprit,
                    "two numbers, or two strings or lists for \"+\"; " +
                        std::string(kind_name(a.kind)) + " and " + std::string(kind_name(b.kind)) +
                        " do not fit");
}

Result<bool> Interpreter::contains(const Value& container, const Value& item, std::uint32_t line) {
  if (container.is_string()) {
    if (!item.is_string()) return wrong_type(line, "\"in\" a string", item, "a string");
    work_.charge((container.s.size() + item.s.size()) / 32);
    // memmem is linear where std::string_view::find is quadratic at worst.
    return item.s.empty() || ::memmem(container.s.data(), container.s.size(), item.s.data(),
                                      item.s.size()) != nullptr;
  }
  if (container.is(Kind::kDict)) {
    work_.charge(container.dict->items.size() / 8);
    return container.dict->find(item) != nullptr;
  }
  if (container.is(Kind::kUndefined)) return false;
  if (!container.is(Kind::kList))
    return wrong_type(line, "\"in\"", container, "a list, mapping or string");
  return std::any_of(container.list->items.begin(), container.list->items.end(),
                     [&](const Value& value) { return equal(value, item, work_); });
}

Result<bool> Interpreter::comparison(std::string_view op, const Value& a, const Value& b,
                                     std::uint32_t line) {
  if (op == "==") return equal(a, b, work_);
  if (op == "!=") return !equal(a, b, work_);
  if (op == "in" || op == "not in") {
    TENON_ASSIGN(const bool inside, contains(b, a, line));
    return inside == (op == "in");
  }
  const int order = compare(a, b, work_);
  if (order == 2 && !(a.is_number() && b.is_number()))
    return wrong_type(line, quote_for_message(op), a.is(Kind::kUndefined) ? a : b,
                      "two numbers or two strings; " + std::string(kind_name(a.kind)) + " and " +
                          std::string(kind_name(b.kind)) + " have no order");
  if (order == 2) return false;  // not a number
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  return op == ">" ? order > 0 : order >= 0;
}

}  // namespace tenon::jinja
