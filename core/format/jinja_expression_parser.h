// Parses the expressions of chat templates; the statements around them are in jinja_parser.cc.
// Internal to core/format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/format/jinja_ast.h"
#include "core/format/jinja_lexer.h"

namespace tenon::jinja {

class ExpressionParser {
 public:
  ExpressionParser(Template& out, std::vector<Token> tokens)
      : out_(out), tokens_(std::move(tokens)) {}

 protected:
  struct Depth {
    explicit Depth(int& value) : value_(++value) {}
    ~Depth() { --value_; }
    int& value_;
  };

  // Tokens.
  const Token& here() const { return tokens_[at_]; }
  bool is(TokenKind kind) const { return here().kind == kind; }
  bool is_operator(std::string_view op) const;
  bool is_word(std::string_view word) const { return is(TokenKind::kName) && here().text == word; }
  bool is_word_at(std::size_t ahead, std::string_view word) const;
  void next();
  bool take_operator(std::string_view op);
  bool take_word(std::string_view word);
  std::string describe() const;
  Error unexpected(std::string expected) const;
  Status expect_operator(std::string_view op);
  Status expect(TokenKind kind, std::string expected);
  Result<std::string_view> name();

  NodeId add(NodeKind kind, std::vector<NodeId> children = {}, std::string_view text = {});
  Status check_depth() const;

  // Loosest first.
  Result<NodeId> tuple_or_expression(bool with_condition = true);
  Result<NodeId> expression();
  Result<NodeId> or_expression();
  Result<NodeId> and_expression();
  Result<NodeId> not_expression();
  std::string_view take_comparison();
  Result<NodeId> comparison();
  Result<NodeId> binary(std::size_t level);
  Result<NodeId> unary(bool with_filters);
  Result<NodeId> primary();
  Result<NodeId> string_literal();
  // After "(": an expression, or a tuple when there is a comma.
  Result<NodeId> bracketed();
  Result<NodeId> items(std::string_view close, NodeKind kind);
  Result<NodeId> dictionary();
  Result<NodeId> postfix(NodeId value);
  // After "[": an index, or a slice with any of its three parts left out.
  Result<NodeId> call(NodeId callee);
  Result<NodeId> subscript(NodeId object);
  // After "(": positional arguments go to the node's children, keyword arguments to named.
  Status arguments(NodeId call);
  Result<NodeId> filters(NodeId value);
  Result<NodeId> one_filter(NodeId value);
  Result<NodeId> test(NodeId value);

  Template& out_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace tenon::jinja
