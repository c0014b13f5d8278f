#include <algorithm>
#include <array>
#include <span>

#include "core/format/jinja_ast.h"
#include "core/format/jinja_expression_parser.h"
#include "core/format/jinja_lexer.h"

namespace tenon::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Status run() {
    TENON_ASSIGN(out_.root, block({}));
    return {};
  }

 private:
  // Statements up to a tag whose name is one of `ends`; that tag's name is left to be read.
  Result<NodeId> block(std::span<const std::string_view> ends) {
    Depth depth(depth_);
    TENON_TRY(check_depth());
    std::vector<NodeId> body;
    while (!is(TokenKind::kEnd)) {
      if (is(TokenKind::kText)) {
        body.push_back(add(NodeKind::kText, {}, here().text));
        next();
      } else if (is(TokenKind::kPrintBegin)) {
        next();
        TENON_ASSIGN(const NodeId value, tuple_or_expression());
        body.push_back(add(NodeKind::kPrint, {value}));
        TENON_TRY(expect(TokenKind::kPrintEnd, "\"}}\""));
      } else {
        TENON_TRY(expect(TokenKind::kTagBegin, "\"{%\""));
        if (is(TokenKind::kName) && std::find(ends.begin(), ends.end(), here().text) != ends.end())
          return add(NodeKind::kBlock, std::move(body));
        TENON_ASSIGN(const NodeId statement_node, statement());
        body.push_back(statement_node);
      }
    }
    if (!ends.empty()) return unexpected("{% " + std::string(ends.back()) + " %}");
    return add(NodeKind::kBlock, std::move(body));
  }

  Status end_tag() { return expect(TokenKind::kTagEnd, "\"%}\""); }

  // The body up to `end`, and that tag.
  Result<NodeId> block_until(std::string_view end) {
    const std::array<std::string_view, 1> ends = {end};
    TENON_ASSIGN(const NodeId body, block(ends));
    next();
    TENON_TRY(end_tag());
    return body;
  }

  Result<NodeId> statement() {
    const Token tag = here();
    TENON_ASSIGN(const std::string_view word, name());
    if (word == "if") return if_statement();
    if (word == "for") return for_statement();
    if (word == "set") return set_statement();
    if (word == "macro") return macro_statement();
    if (word == "filter") return filter_statement();
    if (word == "break" || word == "continue") {
      TENON_TRY(end_tag());
      if (loops_ == 0)
        return template_error("TENON-F040", tag.line, "a loop control stands outside of a loop",
                              std::string(word), "a surrounding {% for %}");
      return add(word == "break" ? NodeKind::kBreak : NodeKind::kContinue);
    }
    if (word == "generation") {  // marks what is trained on; renders as its body
      TENON_TRY(end_tag());
      return block_until("endgeneration");
    }
    return template_error("TENON-F043", tag.line, "this tag is not supported",
                          "{% " + std::string(word.substr(0, 40)) + " %}",
                          "if, for, set, macro, filter, break, continue, generation or raw",
                          "use a chat template without it");
  }

  // After "if" or "elif".
  Result<NodeId> if_statement() {
    Depth depth(depth_);
    TENON_TRY(check_depth());
    static constexpr std::array<std::string_view, 3> kEnds = {"elif", "else", "endif"};
    TENON_ASSIGN(const NodeId condition, tuple_or_expression());
    TENON_TRY(end_tag());
    TENON_ASSIGN(const NodeId body, block(kEnds));
    std::vector<NodeId> children = {condition, body};
    TENON_ASSIGN(const std::string_view word, name());
    if (word == "elif") {
      TENON_ASSIGN(const NodeId rest, if_statement());
      children.push_back(rest);
      return add(NodeKind::kIf, std::move(children));
    }
    TENON_TRY(end_tag());
    if (word == "else") {
      TENON_ASSIGN(const NodeId rest, block_until("endif"));
      children.push_back(rest);
    }
    return add(NodeKind::kIf, std::move(children));
  }

  Result<NodeId> for_statement() {
    static constexpr std::array<std::string_view, 2> kEnds = {"else", "endfor"};
    TENON_ASSIGN(const NodeId target, assignment_target());
    if (!take_word("in")) return unexpected("\"in\"");
    TENON_ASSIGN(const NodeId items, tuple_or_expression(false));
    std::vector<NodeId> children = {target, items, kNoNode, kNoNode, kNoNode};
    if (take_word("if")) {
      TENON_ASSIGN(children[3], expression());
    }
    if (is_word("recursive"))
      return template_error("TENON-F043", here().line, "recursive loops are not supported",
                            "recursive", "a plain loop", "use a macro that calls itself");
    TENON_TRY(end_tag());
    ++loops_;
    TENON_ASSIGN(children[2], block(kEnds));
    --loops_;
    TENON_ASSIGN(const std::string_view word, name());
    TENON_TRY(end_tag());
    if (word == "else") {
      TENON_ASSIGN(children[4], block_until("endfor"));
    }
    return add(NodeKind::kFor, std::move(children));
  }

  Result<NodeId> set_statement() {
    TENON_ASSIGN(const NodeId target, assignment_target());
    if (take_operator("=")) {
      TENON_ASSIGN(const NodeId value, tuple_or_expression());
      TENON_TRY(end_tag());
      return add(NodeKind::kSet, {target, value});
    }
    NodeId value = kNoNode;
    if (is_operator("|")) {
      TENON_ASSIGN(value, filters(add(NodeKind::kCaptured)));
    }
    TENON_TRY(end_tag());
    TENON_ASSIGN(const NodeId body, block_until("endset"));
    return add(NodeKind::kSetBlock, {target, body, value});
  }

  Result<NodeId> filter_statement() {
    TENON_ASSIGN(NodeId value, one_filter(add(NodeKind::kCaptured)));
    TENON_ASSIGN(value, filters(value));
    TENON_TRY(end_tag());
    TENON_ASSIGN(const NodeId body, block_until("endfilter"));
    return add(NodeKind::kFilterBlock, {body, value});
  }

  Result<NodeId> macro_statement() {
    const NodeId macro = add(NodeKind::kMacro);
    TENON_ASSIGN(out_.nodes[macro].text, name());
    std::vector<std::pair<std::string_view, NodeId>> parameters;
    TENON_TRY(expect_operator("("));
    while (!take_operator(")")) {
      TENON_ASSIGN(const std::string_view parameter, name());
      NodeId value = kNoNode;
      if (take_operator("=")) {
        TENON_ASSIGN(value, expression());
      }
      parameters.emplace_back(parameter, value);
      if (!is_operator(")")) TENON_TRY(expect_operator(","));
    }
    TENON_TRY(end_tag());
    const int loops = std::exchange(loops_, 0);
    TENON_ASSIGN(const NodeId body, block_until("endmacro"));
    loops_ = loops;
    out_.nodes[macro].named = std::move(parameters);
    out_.nodes[macro].children = {body};
    return macro;
  }

  // a | a, b | a.b: what for and set assign to.
  Result<NodeId> assignment_target() {
    const bool bracket = take_operator("(");
    std::vector<NodeId> names;
    do {
      if (!names.empty() && !is(TokenKind::kName)) break;
      TENON_ASSIGN(const std::string_view word, name());
      names.push_back(add(NodeKind::kName, {}, word));
      if (names.size() == 1 && take_operator(".")) {
        TENON_ASSIGN(const std::string_view member, name());
        return add(NodeKind::kAttribute, {names[0]}, member);
      }
    } while (take_operator(","));
    if (bracket) TENON_TRY(expect_operator(")"));
    return names.size() == 1 ? names[0] : add(NodeKind::kTuple, std::move(names));
  }

  int loops_ = 0;  // that surround this place, within the macro
};

// As Jinja reads a source: one kind of newline, and not the last one.
std::string normalise(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

Error template_error(std::string id, std::uint32_t line, std::string message, std::string found,
                     std::string expected, std::string fix) {
  return {.code = Code::kInvalidArgument,
          .id = std::move(id),
          .message = std::move(message),
          .where = "chat template:" + std::to_string(line),
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = std::move(fix)};
}

Status parse_template(std::string_view source, Template& out) {
  out.source = normalise(source);
  TENON_ASSIGN(std::vector<Token> tokens, lex_template(out));
  return Parser(out, std::move(tokens)).run();
}

}  // namespace tenon::jinja
