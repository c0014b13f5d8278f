// Runs a parsed chat template. Internal to core/format.
//
// There are no host objects: a template sees the values it is given, a fixed set of filters, tests
// and methods, and four functions. Steps, output, memory and nesting are bounded.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/format/jinja_ast.h"
#include "core/format/jinja_value.h"

namespace tenon::jinja {

struct Limits {
  std::uint64_t steps = 20'000'000;
  std::uint64_t output_bytes = 64u << 20;
  std::uint64_t memory_bytes = 256u << 20;
  int depth = 600;  // of evaluation: stack frames
};

// Arguments of a call, a filter or a test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
  std::uint32_t line = 0;
  // The argument at `index`, or the one called `name`; null when neither was given.
  const Value* get(std::size_t index, std::string_view name) const;
};

class Interpreter {
 public:
  Interpreter(const Template& source, const Limits& limits);

  Arena& arena() { return arena_; }
  Scope& globals() { return *globals_; }
  Result<std::string> run();

  // For filters, tests and methods.
  Work& work() { return work_; }
  const Limits& limits() const { return limits_; }
  Error fail(std::string id, std::uint32_t line, std::string message, std::string found = {},
             std::string expected = {}, std::string fix = {}) const;
  Error wrong_type(std::uint32_t line, std::string_view what, const Value& value,
                   std::string_view expected) const;
  Status check(std::uint32_t line, std::uint64_t new_bytes = 0);  // the limits
  Result<Value> make_string(std::string text, std::uint32_t line);
  // The items a loop sees: of a mapping the keys, of a string the characters.
  Result<std::vector<Value>> iterate(const Value& value, std::uint32_t line);
  Result<Value> attribute(const Value& object, std::string_view name, std::uint32_t line);
  Result<Value> index(const Value& object, const Value& key, std::uint32_t line);
  Result<bool> contains(const Value& container, const Value& item, std::uint32_t line);
  Result<Value> binary(std::string_view op, const Value& a, const Value& b, std::uint32_t line);
  Result<bool> comparison(std::string_view op, const Value& a, const Value& b, std::uint32_t line);
  Result<Value> filter(std::string_view name, const Value& value, const Arguments& arguments);
  Result<bool> test(std::string_view name, const Value& value, const Arguments& arguments);

 private:
  enum class Flow : std::uint8_t { kOn, kBreak, kContinue };

  Result<Flow> statement(NodeId id, Scope* scope, std::string& out);
  Result<Flow> block(const Node& node, Scope* scope, std::string& out);
  Result<Flow> for_loop(const Node& node, Scope* scope, std::string& out);
  Status print(const Node& node, Scope* scope, std::string& out);
  Status set(const Node& node, Scope* scope);
  Status set_block(const Node& node, Scope* scope);
  Status filter_block(const Node& node, Scope* scope, std::string& out);
  Result<Value> capture(NodeId body, NodeId filters, Scope* scope);
  Status assign(NodeId target, const Value& value, Scope* scope);
  Status append(std::string& out, std::string_view text, std::uint32_t line);

  Result<Value> evaluate(NodeId id, Scope* scope);
  Result<Value> evaluate_literal(const Node& node);
  Result<Value> evaluate_container(const Node& node, Scope* scope);
  Result<Value> evaluate_logic(const Node& node, Scope* scope);
  Result<Value> evaluate_sign(const Node& node, Scope* scope);
  Result<Value> evaluate_applied(const Node& node, Scope* scope);
  Result<Value> lookup(const Node& node, Scope* scope);
  Result<Value> slice(const Node& node, Scope* scope);
  Result<Value> call(const Node& node, Scope* scope);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Result<Value> call_function(Function function, const Arguments& arguments);
  Result<Arguments> arguments(const Node& node, Scope* scope);

  const Template& source_;
  Limits limits_;
  Work work_;
  Arena arena_;
  Scope* globals_;
  Value captured_;
  int depth_ = 0;
};

// Calls a method of a string, list or mapping: TENON-F043 when there is none of that name.
Result<Value> call_method(Interpreter& interpreter, const Value& object, std::string_view name,
                          const Arguments& arguments);
bool has_method(const Value& object, std::string_view name);

}  // namespace tenon::jinja
