// The values a chat template computes with, and the arena that owns them. Internal to core/format.
//
// A Value is small and copied freely; strings, lists and dictionaries live in the arena until the
// rendering ends, so a template can build cycles without leaking, and everything it makes is
// counted.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::jinja {

struct Node;
struct List;
struct Dict;
struct Macro;

enum class Kind : std::uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kDict,
  kMacro,
  kFunction,
};
std::string_view kind_name(Kind kind);

enum class Function : std::uint8_t { kRaiseException, kNamespace, kRange, kDict };

struct Value {
  Kind kind = Kind::kUndefined;
  union {
    std::int64_t i = 0;
    bool b;
    double f;
    Function function;
    List* list;
    Dict* dict;
    const Macro* macro;
  };
  std::string_view s;  // a string; of undefined the name that was asked for

  static Value undefined(std::string_view name) { return {.kind = Kind::kUndefined, .s = name}; }
  static Value none() { return {.kind = Kind::kNone}; }
  static Value boolean(bool value) { return {.kind = Kind::kBool, .b = value}; }
  static Value integer(std::int64_t value) { return {.kind = Kind::kInt, .i = value}; }
  static Value real(double value) { return {.kind = Kind::kFloat, .f = value}; }
  static Value string(std::string_view value) { return {.kind = Kind::kString, .s = value}; }
  static Value of(List* value) { return {.kind = Kind::kList, .list = value}; }
  static Value of(Dict* value) { return {.kind = Kind::kDict, .dict = value}; }
  static Value of(Function value) { return {.kind = Kind::kFunction, .function = value}; }

  bool is(Kind wanted) const { return kind == wanted; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_number() const {
    return kind == Kind::kInt || kind == Kind::kFloat || kind == Kind::kBool;
  }
  bool is_integer() const { return kind == Kind::kInt || kind == Kind::kBool; }
  double as_real() const { return kind == Kind::kFloat ? f : static_cast<double>(as_integer()); }
  std::int64_t as_integer() const { return kind == Kind::kBool ? b : i; }
};

struct List {
  std::vector<Value> items;
  bool tuple = false;
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  bool is_namespace = false;                   // what `{% set a.b = c %}` may change
  const Value* find(const Value& key) const;   // null for a key that is no scalar
  const Value* find(std::string_view key) const;
  void set(const Value& key, const Value& value);
};

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> names;
  const Value* find(std::string_view name) const;  // here or further out
  void set(std::string_view name, const Value& value);
};

struct Macro {
  const Node* node = nullptr;
  Scope* scope = nullptr;  // where it was defined
};

// What has been done so far, in steps: one for each node, and more for work that grows with its
// data. All that a template can make the interpreter do is counted here.
struct Work {
  std::uint64_t done = 0, most = ~std::uint64_t{0};
  void charge(std::uint64_t steps) { done += steps; }
  bool spent() const { return done > most; }
};

class Arena {
 public:
  Value string(std::string text);
  List* list(std::vector<Value> items, bool tuple = false);
  Dict* dict();
  Scope* scope(Scope* parent);
  const Macro* macro(Macro macro);
  void count(std::uint64_t bytes) { bytes_ += bytes; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::deque<std::string> strings_;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Scope> scopes_;
  std::deque<Macro> macros_;
  std::uint64_t bytes_ = 0;
};

bool truthy(const Value& value);
// Keys of dictionaries: what compares in constant time but for the length of strings.
bool is_scalar(const Value& value);
bool equal_scalars(const Value& a, const Value& b);
// Values may contain themselves: nesting beyond `depth` compares as different, and so does
// everything once the work is spent.
bool equal(const Value& a, const Value& b, Work& work, int depth = 32);
// -1, 0, 1; 2 when the two cannot be ordered.
int compare(const Value& a, const Value& b, Work& work, int depth = 32);

// Text as Python's str() and repr() give it. Stops, with the text so far, at `limit` bytes.
std::string to_text(const Value& value, std::size_t limit);
std::string to_repr(const Value& value, std::size_t limit);

struct JsonStyle {
  int indent = -1;                                        // below 0: on one line
  std::string_view item_separator, key_separator = ": ";  // empty item_separator: the usual
  bool ascii = false;
  bool sort_keys = false;
};
// False when a value has no JSON form; `out` may have grown beyond `limit` by one value.
bool to_json(const Value& value, const JsonStyle& style, std::size_t limit, std::string& out);

// White space as Python's str.strip() sees it.
bool is_space(std::uint32_t code_point);
std::string_view strip(std::string_view text, bool left, bool right);
std::size_t count_characters(std::string_view text);

}  // namespace tenon::jinja
