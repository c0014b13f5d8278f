#include "core/format/jinja_expression_parser.h"

#include <algorithm>
#include <array>

#include "core/format/utf8.h"

namespace tenon::jinja {
namespace {

constexpr int kMaxDepth = 200;  // of brackets and blocks, as the text nests them

}  // namespace

bool ExpressionParser::is_operator(std::string_view op) const {
  return is(TokenKind::kOperator) && here().text == op;
}

bool ExpressionParser::is_word_at(std::size_t ahead, std::string_view word) const {
  return at_ + ahead < tokens_.size() && tokens_[at_ + ahead].kind == TokenKind::kName &&
         tokens_[at_ + ahead].text == word;
}

void ExpressionParser::next() {
  if (!is(TokenKind::kEnd)) ++at_;
}

bool ExpressionParser::take_operator(std::string_view op) {
  if (!is_operator(op)) return false;
  next();
  return true;
}

bool ExpressionParser::take_word(std::string_view word) {
  if (!is_word(word)) return false;
  next();
  return true;
}

std::string ExpressionParser::describe() const {
  switch (here().kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kText:
      return "text";
    case TokenKind::kPrintBegin:
      return "\"{{\"";
    case TokenKind::kPrintEnd:
      return "\"}}\"";
    case TokenKind::kTagBegin:
      return "\"{%\"";
    case TokenKind::kTagEnd:
      return "\"%}\"";
    default:
      return quote_for_message(here().text);
  }
}

Error ExpressionParser::unexpected(std::string expected) const {
  return template_error("TENON-F040", here().line, "the chat template has a syntax error",
                        describe(), std::move(expected));
}

Status ExpressionParser::expect_operator(std::string_view op) {
  if (take_operator(op)) return {};
  return unexpected(quote_for_message(op));
}

Status ExpressionParser::expect(TokenKind kind, std::string expected) {
  if (!is(kind)) return unexpected(std::move(expected));
  next();
  return {};
}

Result<std::string_view> ExpressionParser::name() {
  if (!is(TokenKind::kName)) return unexpected("a name");
  const std::string_view out = here().text;
  next();
  return out;
}

NodeId ExpressionParser::add(NodeKind kind, std::vector<NodeId> children, std::string_view text) {
  out_.nodes.push_back(
      {.kind = kind, .line = here().line, .text = text, .children = std::move(children)});
  return static_cast<NodeId>(out_.nodes.size() - 1);
}

Status ExpressionParser::check_depth() const {
  if (depth_ <= kMaxDepth) return {};
  return template_error("TENON-F046", here().line, "the chat template nests too deeply",
                        "more than " + std::to_string(kMaxDepth) + " levels", "fewer levels");
}

Result<NodeId> ExpressionParser::tuple_or_expression(bool with_condition) {
  TENON_ASSIGN(const NodeId first, with_condition ? expression() : or_expression());
  if (!is_operator(",")) return first;
  std::vector<NodeId> items = {first};
  while (take_operator(",")) {
    if (is(TokenKind::kPrintEnd) || is(TokenKind::kTagEnd)) break;
    TENON_ASSIGN(const NodeId item, with_condition ? expression() : or_expression());
    items.push_back(item);
  }
  return add(NodeKind::kTuple, std::move(items));
}

Result<NodeId> ExpressionParser::expression() {
  Depth depth(depth_);
  TENON_TRY(check_depth());
  TENON_ASSIGN(NodeId value, or_expression());
  while (take_word("if")) {
    TENON_ASSIGN(const NodeId condition, or_expression());
    NodeId otherwise = kNoNode;
    if (take_word("else")) {
      TENON_ASSIGN(otherwise, expression());
    }
    value = add(NodeKind::kConditional, {value, condition, otherwise});
  }
  return value;
}

Result<NodeId> ExpressionParser::or_expression() {
  TENON_ASSIGN(NodeId left, and_expression());
  while (take_word("or")) {
    TENON_ASSIGN(const NodeId right, and_expression());
    left = add(NodeKind::kOr, {left, right});
  }
  return left;
}

Result<NodeId> ExpressionParser::and_expression() {
  TENON_ASSIGN(NodeId left, not_expression());
  while (take_word("and")) {
    TENON_ASSIGN(const NodeId right, not_expression());
    left = add(NodeKind::kAnd, {left, right});
  }
  return left;
}

Result<NodeId> ExpressionParser::not_expression() {
  if (is_word("not") && !is_word_at(1, "in")) {
    Depth depth(depth_);
    TENON_TRY(check_depth());
    next();
    TENON_ASSIGN(const NodeId value, not_expression());
    return add(NodeKind::kNot, {value});
  }
  return comparison();
}

std::string_view ExpressionParser::take_comparison() {
  static constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<=", ">=", "<", ">"};
  for (const std::string_view op : kOperators)
    if (take_operator(op)) return op;
  if (take_word("in")) return "in";
  if (is_word("not") && is_word_at(1, "in")) {
    next();
    next();
    return "not in";
  }
  return {};
}

Result<NodeId> ExpressionParser::comparison() {
  TENON_ASSIGN(NodeId left, binary(0));
  std::vector<NodeId> parts;
  for (std::string_view op; !(op = take_comparison()).empty();) {
    TENON_ASSIGN(const NodeId right, binary(0));
    parts.push_back(add(NodeKind::kCompare, {left, right}, op));
    left = right;
  }
  if (parts.empty()) return left;
  return parts.size() == 1 ? parts[0] : add(NodeKind::kChain, std::move(parts));
}

Result<NodeId> ExpressionParser::binary(std::size_t level) {
  static const std::array<std::vector<std::string_view>, 4> kLevels = {
      {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}};
  if (level == kLevels.size()) return unary(true);
  TENON_ASSIGN(NodeId left, binary(level + 1));
  while (is(TokenKind::kOperator)) {
    const std::string_view op = here().text;
    const auto& ops = kLevels[level];
    if (std::find(ops.begin(), ops.end(), op) == ops.end()) break;
    next();
    TENON_ASSIGN(const NodeId right, binary(level + 1));
    left = add(NodeKind::kBinary, {left, right}, op);
  }
  return left;
}

Result<NodeId> ExpressionParser::unary(bool with_filters) {
  Depth depth(depth_);
  TENON_TRY(check_depth());
  NodeId value = kNoNode;
  if (is_operator("-") || is_operator("+")) {
    const NodeKind kind = is_operator("-") ? NodeKind::kNegate : NodeKind::kPlus;
    next();
    TENON_ASSIGN(const NodeId operand, unary(false));
    value = add(kind, {operand});
  } else {
    TENON_ASSIGN(value, primary());
  }
  TENON_ASSIGN(value, postfix(value));
  return with_filters ? filters(value) : Result<NodeId>(value);
}

Result<NodeId> ExpressionParser::primary() {
  const Token token = here();
  switch (token.kind) {
    case TokenKind::kName:
      next();
      if (token.text == "true" || token.text == "True") return add(NodeKind::kTrue);
      if (token.text == "false" || token.text == "False") return add(NodeKind::kFalse);
      if (token.text == "none" || token.text == "None") return add(NodeKind::kNone);
      return add(NodeKind::kName, {}, token.text);
    case TokenKind::kString:
      return string_literal();
    case TokenKind::kInteger:
    case TokenKind::kFloat: {
      next();
      const bool real = token.kind == TokenKind::kFloat;
      const NodeId out = add(real ? NodeKind::kFloat : NodeKind::kInteger);
      out_.nodes[out].integer = token.integer;
      out_.nodes[out].number = token.number;
      return out;
    }
    default:
      break;
  }
  if (take_operator("(")) return bracketed();
  if (take_operator("[")) return items("]", NodeKind::kList);
  if (take_operator("{")) return dictionary();
  return unexpected("an expression");
}

Result<NodeId> ExpressionParser::string_literal() {
  const std::string_view first = here().text;
  next();
  if (!is(TokenKind::kString)) return add(NodeKind::kString, {}, first);
  std::string joined(first);  // neighbouring literals are one
  for (; is(TokenKind::kString); next()) joined += here().text;
  return add(NodeKind::kString, {}, out_.strings.emplace_back(std::move(joined)));
}

// After "(": an expression, or a tuple when there is a comma.
Result<NodeId> ExpressionParser::bracketed() {
  if (take_operator(")")) return add(NodeKind::kTuple);
  TENON_ASSIGN(const NodeId first, expression());
  if (take_operator(")")) return first;
  TENON_TRY(expect_operator(","));
  TENON_ASSIGN(const NodeId rest, items(")", NodeKind::kTuple));
  auto& children = out_.nodes[rest].children;
  children.insert(children.begin(), first);
  return rest;
}

Result<NodeId> ExpressionParser::items(std::string_view close, NodeKind kind) {
  std::vector<NodeId> out;
  while (!take_operator(close)) {
    TENON_ASSIGN(const NodeId item, expression());
    out.push_back(item);
    if (!is_operator(close)) TENON_TRY(expect_operator(","));
  }
  return add(kind, std::move(out));
}

Result<NodeId> ExpressionParser::dictionary() {
  std::vector<NodeId> out;
  while (!take_operator("}")) {
    TENON_ASSIGN(const NodeId key, expression());
    TENON_TRY(expect_operator(":"));
    TENON_ASSIGN(const NodeId value, expression());
    out.insert(out.end(), {key, value});
    if (!is_operator("}")) TENON_TRY(expect_operator(","));
  }
  return add(NodeKind::kDict, std::move(out));
}

Result<NodeId> ExpressionParser::postfix(NodeId value) {
  for (;;) {
    if (take_operator(".")) {
      if (is(TokenKind::kInteger)) {
        TENON_ASSIGN(const NodeId index, primary());
        value = add(NodeKind::kIndex, {value, index});
        continue;
      }
      TENON_ASSIGN(const std::string_view member, name());
      value = add(NodeKind::kAttribute, {value}, member);
    } else if (take_operator("[")) {
      TENON_ASSIGN(value, subscript(value));
    } else if (take_operator("(")) {
      TENON_ASSIGN(value, call(value));
    } else {
      return value;
    }
  }
}

// After "(".
Result<NodeId> ExpressionParser::call(NodeId callee) {
  const NodeId out = add(NodeKind::kCall, {callee});
  TENON_TRY(arguments(out));
  return out;
}

// After "[": an index, or a slice with any of its three parts left out.
Result<NodeId> ExpressionParser::subscript(NodeId object) {
  std::array<NodeId, 3> parts = {kNoNode, kNoNode, kNoNode};
  std::size_t part = 0;
  bool slice = false;
  while (!is_operator("]")) {
    if (take_operator(":")) {
      slice = true;
      if (++part == parts.size()) return unexpected("\"]\"");
      continue;
    }
    if (parts[part] != kNoNode) return unexpected("\":\" or \"]\"");
    TENON_ASSIGN(parts[part], expression());
  }
  if (!slice && parts[0] == kNoNode) return unexpected("an index");
  next();
  if (!slice) return add(NodeKind::kIndex, {object, parts[0]});
  return add(NodeKind::kSlice, {object, parts[0], parts[1], parts[2]});
}

// After "(": positional arguments go to the node's children, keyword arguments to named.
Status ExpressionParser::arguments(NodeId call) {
  while (!take_operator(")")) {
    const bool keyword = is(TokenKind::kName) && tokens_[at_ + 1].kind == TokenKind::kOperator &&
                         tokens_[at_ + 1].text == "=";
    std::string_view key;
    if (keyword) {
      key = here().text;
      next();
      next();
    }
    TENON_ASSIGN(const NodeId value, expression());
    if (keyword)
      out_.nodes[call].named.emplace_back(key, value);
    else if (out_.nodes[call].named.empty())
      out_.nodes[call].children.push_back(value);
    else
      return unexpected("a keyword argument");
    if (!is_operator(")")) TENON_TRY(expect_operator(","));
  }
  return {};
}

Result<NodeId> ExpressionParser::filters(NodeId value) {
  for (;;) {
    if (take_operator("|")) {
      TENON_ASSIGN(value, one_filter(value));
    } else if (take_word("is")) {
      TENON_ASSIGN(value, test(value));
    } else if (take_operator("(")) {
      TENON_ASSIGN(value, call(value));
    } else {
      return value;
    }
  }
}

Result<NodeId> ExpressionParser::one_filter(NodeId value) {
  TENON_ASSIGN(const std::string_view word, name());
  const NodeId out = add(NodeKind::kFilter, {value}, word);
  if (take_operator("(")) TENON_TRY(arguments(out));
  return out;
}

Result<NodeId> ExpressionParser::test(NodeId value) {
  const bool negated = take_word("not");
  TENON_ASSIGN(const std::string_view word, name());
  const NodeId out = add(NodeKind::kTest, {value}, word);
  out_.nodes[out].negated = negated;
  if (take_operator("(")) {
    TENON_TRY(arguments(out));
    return out;
  }
  static constexpr std::array<std::string_view, 7> kNoArgument = {"else", "or", "and", "is",
                                                                  "if",   "in", "not"};
  const bool word_follows =
      is(TokenKind::kName) &&
      std::find(kNoArgument.begin(), kNoArgument.end(), here().text) == kNoArgument.end();
  if (word_follows || is(TokenKind::kString) || is(TokenKind::kInteger) || is(TokenKind::kFloat) ||
      is_operator("[") || is_operator("{")) {
    TENON_ASSIGN(NodeId argument, primary());
    TENON_ASSIGN(argument, postfix(argument));
    out_.nodes[out].children.push_back(argument);
  }
  return out;
}

}  // namespace tenon::jinja
