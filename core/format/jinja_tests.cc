// The tests of chat templates (`x is defined`). TENON-F043 names those that are known.
#include <algorithm>
#include <array>

#include "core/base/suggest.h"
#include "core/format/jinja_interpreter.h"
#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

struct Plain {
  std::string_view name;
  bool (*passes)(const Value&);
};
constexpr std::array kPlain = {
    Plain{"defined", [](const Value& v) { return !v.is(Kind::kUndefined); }},
    Plain{"undefined", [](const Value& v) { return v.is(Kind::kUndefined); }},
    Plain{"none", [](const Value& v) { return v.is(Kind::kNone); }},
    Plain{"string", [](const Value& v) { return v.is_string(); }},
    Plain{"mapping", [](const Value& v) { return v.is(Kind::kDict) && !v.dict->is_namespace; }},
    Plain{"iterable",
          [](const Value& v) {
            return v.is_string() || v.is(Kind::kList) || v.is(Kind::kUndefined) ||
                   (v.is(Kind::kDict) && !v.dict->is_namespace);
          }},
    Plain{"sequence",
          [](const Value& v) {
            return v.is_string() || v.is(Kind::kList) || v.is(Kind::kUndefined) ||
                   (v.is(Kind::kDict) && !v.dict->is_namespace);
          }},
    Plain{"number", [](const Value& v) { return v.is_number(); }},
    Plain{"integer", [](const Value& v) { return v.is(Kind::kInt); }},
    Plain{"float", [](const Value& v) { return v.is(Kind::kFloat); }},
    Plain{"boolean", [](const Value& v) { return v.is(Kind::kBool); }},
    Plain{"true", [](const Value& v) { return v.is(Kind::kBool) && v.b; }},
    Plain{"false", [](const Value& v) { return v.is(Kind::kBool) && !v.b; }},
    Plain{"callable", [](const Value& v) { return v.is(Kind::kMacro) || v.is(Kind::kFunction); }},
    Plain{"odd", [](const Value& v) { return v.is_integer() && v.as_integer() % 2 != 0; }},
    Plain{"even", [](const Value& v) { return v.is_integer() && v.as_integer() % 2 == 0; }},
};

// Tests that are comparisons, and the operator each stands for.
struct Compared {
  std::string_view name, op;
};
constexpr std::array kCompared = {
    Compared{"eq", "=="},         Compared{"equalto", "=="}, Compared{"ne", "!="},
    Compared{"lt", "<"},          Compared{"lessthan", "<"}, Compared{"le", "<="},
    Compared{"gt", ">"},          Compared{"ge", ">="},      Compared{"in", "in"},
    Compared{"greaterthan", ">"}, Compared{"==", "=="},      Compared{"!=", "!="},
    Compared{"sameas", "=="},
};

}  // namespace

Result<bool> Interpreter::test(std::string_view name, const Value& value, const Arguments& given) {
  work_.charge(1);
  TENON_TRY(check(given.line));
  for (const Plain& plain : kPlain)
    if (plain.name == name) return plain.passes(value);
  const bool divides = name == "divisibleby";
  if (divides || std::any_of(kCompared.begin(), kCompared.end(),
                             [&](const Compared& test) { return test.name == name; })) {
    if (given.positional.size() != 1)
      return fail("TENON-F042", given.line, "a test needs something to compare with",
                  std::to_string(given.positional.size()) + " arguments", "1");
    if (divides) {
      TENON_ASSIGN(const Value rest, binary("%", value, given.positional[0], given.line));
      return !truthy(rest);
    }
    for (const Compared& test : kCompared)
      if (test.name == name) return comparison(test.op, value, given.positional[0], given.line);
  }
  std::vector<std::string> known = {"divisibleby"};
  for (const Plain& plain : kPlain) known.emplace_back(plain.name);
  for (const Compared& test : kCompared) known.emplace_back(test.name);
  return fail("TENON-F043", given.line, "this test is not known", quote_for_message(name),
              "a test that chat templates may use", suggest_fix(name.substr(0, 40), known));
}

}  // namespace tenon::jinja
