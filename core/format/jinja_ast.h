// The syntax tree of a chat template. Internal to core/format.
//
// Nodes lie in one vector and name each other by index: a template that nests deeply can then be
// built and freed without recursion.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace tenon::jinja {

using NodeId = std::uint32_t;
constexpr NodeId kNoNode = ~NodeId{0};

enum class NodeKind : std::uint8_t {
  // Statements.
  kText,         // text
  kPrint,        // children[0]
  kBlock,        // children: statements
  kIf,           // children: condition, body, [else body]
  kFor,          // children: target, iterable, body, condition or kNoNode, else body or kNoNode
  kSet,          // children: target, value
  kSetBlock,     // children: target, body, [value with a kCaptured inside: filters]
  kMacro,        // text: name; named: parameters with defaults (kNoNode: none); children[0]: body
  kFilterBlock,  // children: body, value with a kCaptured inside
  kBreak,
  kContinue,
  // Expressions.
  kNone,
  kTrue,
  kFalse,
  kInteger,      // integer
  kFloat,        // number
  kString,       // text
  kName,         // text
  kCaptured,     // the text of the block that is being filtered
  kList,         // children
  kTuple,        // children
  kDict,         // children: key, value, key, value, ...
  kAttribute,    // children[0], text
  kIndex,        // children: object, key
  kSlice,        // children: object, from, to, step; kNoNode where left out
  kCall,         // children: callee, arguments...; named: keyword arguments
  kFilter,       // text; children: value, arguments...; named
  kTest,         // text; children: value, arguments...; negated
  kConditional,  // children: value, condition, else value or kNoNode
  kAnd,
  kOr,
  kNot,
  kNegate,
  kPlus,
  kBinary,   // text: operator; children: left, right
  kCompare,  // text: operator; children: left, right
  kChain,    // children: kCompare nodes that share operands: a < b < c
};

struct Node {
  NodeKind kind = NodeKind::kNone;
  bool negated = false;
  std::uint32_t line = 0;
  std::string_view text;
  std::int64_t integer = 0;
  double number = 0;
  std::vector<NodeId> children;
  std::vector<std::pair<std::string_view, NodeId>> named;
};

struct Template {
  std::string source;
  std::deque<std::string> strings;  // literals that had escapes; nodes point into both
  std::vector<Node> nodes;
  NodeId root = kNoNode;
  const Node& operator[](NodeId id) const { return nodes[id]; }
};

// TENON-F040 for a syntax error, F043 for a tag that is not supported, F046 for too deep nesting.
// The template is filled in place, since its nodes point into it.
Status parse_template(std::string_view source, Template& out);

Error template_error(std::string id, std::uint32_t line, std::string message,
                     std::string found = {}, std::string expected = {}, std::string fix = {});

}  // namespace tenon::jinja
