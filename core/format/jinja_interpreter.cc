#include "core/format/jinja_interpreter.h"

#include <algorithm>
#include <utility>

#include "core/format/utf8.h"

namespace tenon::jinja {

const Value* Arguments::get(std::size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  for (const auto& [key, value] : named)
    if (key == name) return &value;
  return nullptr;
}

Interpreter::Interpreter(const Template& source, const Limits& limits)
    : source_(source), limits_(limits), globals_(arena_.scope(nullptr)) {
  work_.most = limits.steps;
  globals_->set("raise_exception", Value::of(Function::kRaiseException));
  globals_->set("namespace", Value::of(Function::kNamespace));
  globals_->set("range", Value::of(Function::kRange));
  globals_->set("dict", Value::of(Function::kDict));
}

Result<std::string> Interpreter::run() {
  std::string out;
  // What the template sets lies over the globals, as its own names.
  TENON_TRY(statement(source_.root, arena_.scope(globals_), out));
  return out;
}

Error Interpreter::fail(std::string id, std::uint32_t line, std::string message, std::string found,
                        std::string expected, std::string fix) const {
  return template_error(std::move(id), line, std::move(message), std::move(found),
                        std::move(expected), std::move(fix));
}

Error Interpreter::wrong_type(std::uint32_t line, std::string_view what, const Value& value,
                              std::string_view expected) const {
  if (value.is(Kind::kUndefined))
    return fail("TENON-F041", line, std::string(what) + " needs a value that is not there",
                quote_for_message(value.s) + ", which is undefined", std::string(expected));
  return fail("TENON-F042", line, std::string(what) + " cannot be applied",
              std::string(kind_name(value.kind)), std::string(expected));
}

Status Interpreter::check(std::uint32_t line, std::uint64_t new_bytes) {
  if (work_.spent())
    return fail("TENON-F044", line, "the chat template takes too many steps",
                "more than " + std::to_string(limits_.steps), "a template that ends",
                "use another chat template, or fewer messages");
  if (new_bytes > limits_.memory_bytes || arena_.bytes() > limits_.memory_bytes - new_bytes)
    return fail("TENON-F045", line, "the chat template needs too much memory",
                "more than " + std::to_string(limits_.memory_bytes) + " bytes", "less",
                "use another chat template, or fewer messages");
  return {};
}

Status Interpreter::append(std::string& out, std::string_view text, std::uint32_t line) {
  if (text.size() > limits_.output_bytes || out.size() > limits_.output_bytes - text.size())
    return fail("TENON-F045", line, "the chat template writes too much",
                "more than " + std::to_string(limits_.output_bytes) + " bytes", "less",
                "use another chat template, or fewer messages");
  work_.charge(text.size() / 64);
  out += text;
  return {};
}

Result<Interpreter::Flow> Interpreter::statement(NodeId id, Scope* scope, std::string& out) {
  const Node& node = source_[id];
  work_.charge(1);
  TENON_TRY(check(node.line));
  if (depth_ >= limits_.depth)
    return fail("TENON-F046", node.line, "the chat template nests too deeply",
                "more than " + std::to_string(limits_.depth) + " levels", "fewer levels");
  ++depth_;
  Result<Flow> flow = Flow::kOn;
  const auto done = [](Status status) -> Result<Flow> {
    if (!status.ok()) return status.take_error();
    return Flow::kOn;
  };
  switch (node.kind) {
    case NodeKind::kText:
      flow = done(append(out, node.text, node.line));
      break;
    case NodeKind::kPrint:
      flow = done(print(node, scope, out));
      break;
    case NodeKind::kSet:
      flow = done(set(node, scope));
      break;
    case NodeKind::kSetBlock:
      flow = done(set_block(node, scope));
      break;
    case NodeKind::kFilterBlock:
      flow = done(filter_block(node, scope, out));
      break;
    case NodeKind::kMacro: {
      Value macro{.kind = Kind::kMacro};
      macro.macro = arena_.macro({&node, scope});
      scope->set(node.text, macro);
      break;
    }
    case NodeKind::kFor:
      flow = for_loop(node, scope, out);
      break;
    case NodeKind::kBreak:
      flow = Flow::kBreak;
      break;
    case NodeKind::kContinue:
      flow = Flow::kContinue;
      break;
    default:
      flow = block(node, scope, out);
  }
  --depth_;
  return flow;
}

// A block of statements, or an if.
Result<Interpreter::Flow> Interpreter::block(const Node& node, Scope* scope, std::string& out) {
  if (node.kind == NodeKind::kIf) {
    TENON_ASSIGN(const Value condition, evaluate(node.children[0], scope));
    if (truthy(condition)) return statement(node.children[1], scope, out);
    if (node.children.size() > 2) return statement(node.children[2], scope, out);
    return Flow::kOn;
  }
  for (const NodeId child : node.children) {
    TENON_ASSIGN(const Flow flow, statement(child, scope, out));
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Status Interpreter::print(const Node& node, Scope* scope, std::string& out) {
  TENON_ASSIGN(const Value value, evaluate(node.children[0], scope));
  if (value.is_string()) return append(out, value.s, node.line);
  return append(out, to_text(value, limits_.output_bytes), node.line);
}

Status Interpreter::set(const Node& node, Scope* scope) {
  TENON_ASSIGN(const Value value, evaluate(node.children[1], scope));
  return assign(node.children[0], value, scope);
}

Result<Value> Interpreter::capture(NodeId body, NodeId filters, Scope* scope) {
  std::string text;
  TENON_TRY(statement(body, arena_.scope(scope), text));
  TENON_ASSIGN(const Value value, make_string(std::move(text), source_[body].line));
  if (filters == kNoNode) return value;
  const Value outer = std::exchange(captured_, value);
  Result<Value> out = evaluate(filters, scope);
  captured_ = outer;
  return out;
}

Status Interpreter::set_block(const Node& node, Scope* scope) {
  TENON_ASSIGN(const Value value, capture(node.children[1], node.children[2], scope));
  return assign(node.children[0], value, scope);
}

Status Interpreter::filter_block(const Node& node, Scope* scope, std::string& out) {
  TENON_ASSIGN(const Value value, capture(node.children[0], node.children[1], scope));
  return append(out, to_text(value, limits_.output_bytes), node.line);
}

Status Interpreter::assign(NodeId target, const Value& value, Scope* scope) {
  const Node& node = source_[target];
  if (node.kind == NodeKind::kName) {
    scope->set(node.text, value);
    return {};
  }
  if (node.kind == NodeKind::kAttribute) {
    TENON_ASSIGN(const Value object, evaluate(node.children[0], scope));
    if (!object.is(Kind::kDict) || !object.dict->is_namespace)
      return wrong_type(node.line, "setting an attribute", object, "a namespace()");
    arena_.count(sizeof(Value) * 2);
    object.dict->set(Value::string(node.text), value);
    return {};
  }
  TENON_ASSIGN(const std::vector<Value> parts, iterate(value, node.line));
  if (parts.size() != node.children.size())
    return fail("TENON-F042", node.line, "a value cannot be taken apart",
                std::to_string(parts.size()) + " items",
                std::to_string(node.children.size()) + ", one for each name");
  for (std::size_t i = 0; i < parts.size(); ++i)
    TENON_TRY(assign(node.children[i], parts[i], scope));
  return {};
}

Result<Interpreter::Flow> Interpreter::for_loop(const Node& node, Scope* scope, std::string& out) {
  const NodeId target = node.children[0], body = node.children[2], condition = node.children[3];
  TENON_ASSIGN(const Value source, evaluate(node.children[1], scope));
  TENON_ASSIGN(std::vector<Value> items, iterate(source, node.line));
  Scope* const inner = arena_.scope(scope);
  if (condition != kNoNode) {
    std::vector<Value> kept;
    for (const Value& item : items) {
      TENON_TRY(assign(target, item, inner));
      TENON_ASSIGN(const Value wanted, evaluate(condition, inner));
      if (truthy(wanted)) kept.push_back(item);
    }
    items = std::move(kept);
  }
  if (items.empty())
    return node.children[4] == kNoNode ? Result<Flow>(Flow::kOn)
                                       : statement(node.children[4], scope, out);
  Dict* const loop = arena_.dict();
  const auto size = static_cast<std::int64_t>(items.size());
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto put = [&](std::string_view name, Value value) {
      loop->items.emplace_back(Value::string(name), value);
    };
    loop->items.clear();
    put("index", Value::integer(i + 1));
    put("index0", Value::integer(i));
    put("first", Value::boolean(i == 0));
    put("last", Value::boolean(i + 1 == size));
    put("length", Value::integer(size));
    put("revindex", Value::integer(size - i));
    put("revindex0", Value::integer(size - i - 1));
    put("previtem", i > 0 ? items[at - 1] : Value::undefined("loop.previtem"));
    put("nextitem", i + 1 < size ? items[at + 1] : Value::undefined("loop.nextitem"));
    inner->names.clear();  // what one round sets, the next does not see
    inner->set("loop", Value::of(loop));
    TENON_TRY(assign(target, items[at], inner));
    TENON_ASSIGN(const Flow flow, statement(body, inner, out));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kOn;
}

Result<Arguments> Interpreter::arguments(const Node& node, Scope* scope) {
  Arguments out;
  out.line = node.line;
  for (std::size_t i = 1; i < node.children.size(); ++i) {
    TENON_ASSIGN(const Value value, evaluate(node.children[i], scope));
    out.positional.push_back(value);
  }
  for (const auto& [name, id] : node.named) {
    TENON_ASSIGN(const Value value, evaluate(id, scope));
    out.named.emplace_back(name, value);
  }
  return out;
}

Result<Value> Interpreter::call(const Node& node, Scope* scope) {
  const Node& callee = source_[node.children[0]];
  Value target;
  if (callee.kind == NodeKind::kAttribute) {
    TENON_ASSIGN(const Value object, evaluate(callee.children[0], scope));
    if (has_method(object, callee.text)) {
      TENON_ASSIGN(const Arguments given, arguments(node, scope));
      return call_method(*this, object, callee.text, given);
    }
    TENON_ASSIGN(target, attribute(object, callee.text, node.line));
    if (!target.is(Kind::kMacro) && !target.is(Kind::kFunction))
      return fail("TENON-F043", node.line,
                  "a " + std::string(kind_name(object.kind)) + " has no such method",
                  quote_for_message(callee.text), "one of the methods that chat templates may use");
  } else {
    TENON_ASSIGN(target, evaluate(node.children[0], scope));
  }
  if (!target.is(Kind::kMacro) && !target.is(Kind::kFunction))
    return wrong_type(node.line, "a call", target, "a macro or function");
  TENON_ASSIGN(const Arguments given, arguments(node, scope));
  return target.is(Kind::kMacro) ? call_macro(*target.macro, given)
                                 : call_function(target.function, given);
}

Result<Value> Interpreter::call_macro(const Macro& macro, const Arguments& given) {
  const Node& node = *macro.node;
  Scope* const scope = arena_.scope(macro.scope);
  if (given.positional.size() > node.named.size())
    return fail("TENON-F042", given.line, "a macro gets too many arguments",
                std::to_string(given.positional.size()),
                "at most " + std::to_string(node.named.size()));
  for (const auto& [name, value] : given.named) {
    const auto is_it = [wanted = name](const auto& parameter) { return parameter.first == wanted; };
    if (std::none_of(node.named.begin(), node.named.end(), is_it))
      return fail("TENON-F042", given.line, "a macro has no such parameter",
                  quote_for_message(name), "one of its parameters");
  }
  for (std::size_t i = 0; i < node.named.size(); ++i) {
    const auto& [name, otherwise] = node.named[i];
    Value value = Value::undefined(name);
    if (const Value* argument = given.get(i, name)) {
      value = *argument;
    } else if (otherwise != kNoNode) {
      TENON_ASSIGN(value, evaluate(otherwise, scope));
    }
    scope->set(name, value);
  }
  std::string text;
  TENON_TRY(statement(node.children[0], scope, text));
  return make_string(std::move(text), given.line);
}

Result<Value> Interpreter::call_function(Function function, const Arguments& given) {
  constexpr std::int64_t kMaxRange = 100'000;
  if (function == Function::kRaiseException) {
    const Value* message = given.get(0, "message");
    return fail("TENON-F047", given.line,
                "the chat template refuses these messages: " +
                    utf8_replace_invalid(message ? to_text(*message, 1000) : "no reason given"),
                {}, {}, "send messages that the template accepts");
  }
  if (function == Function::kRange) {
    for (const Value& value : given.positional)
      if (!value.is_integer()) return wrong_type(given.line, "range()", value, "integers");
    const std::size_t count = given.positional.size();
    const auto at = [&](std::size_t i) { return given.positional[i].as_integer(); };
    if (count < 1 || count > 3 || (count == 3 && at(2) == 0))
      return fail("TENON-F042", given.line, "range() cannot be called like this",
                  std::to_string(count) + " arguments", "1 to 3, the last of them not 0");
    const __int128 from = count > 1 ? at(0) : 0, to = count > 1 ? at(1) : at(0),
                   step = count > 2 ? at(2) : 1;
    const __int128 length =
        step > 0 ? (to - from + step - 1) / step : (from - to - step - 1) / -step;
    if (length > kMaxRange)
      return fail("TENON-F045", given.line, "range() is too long", "more than 100000 numbers",
                  "at most 100000");
    std::vector<Value> items;
    for (__int128 i = 0; i < length; ++i)
      items.push_back(Value::integer(static_cast<std::int64_t>(from + i * step)));
    work_.charge(items.size());
    return Value::of(arena_.list(std::move(items)));
  }
  Dict* const dict = arena_.dict();
  dict->is_namespace = function == Function::kNamespace;
  if (const Value* from = given.positional.empty() ? nullptr : &given.positional[0]) {
    if (!from->is(Kind::kDict)) return wrong_type(given.line, "copying", *from, "a mapping");
    dict->items = from->dict->items;
    arena_.count(dict->items.size() * sizeof(Value) * 2);
  }
  for (const auto& [name, value] : given.named) dict->set(Value::string(name), value);
  return Value::of(dict);
}

}  // namespace tenon::jinja
