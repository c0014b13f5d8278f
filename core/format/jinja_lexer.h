// Cuts a chat template into text and the tokens of its tags. Internal to core/format.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/format/jinja_ast.h"

namespace tenon::jinja {

enum class TokenKind : std::uint8_t {
  kText,
  kPrintBegin,
  kPrintEnd,
  kTagBegin,
  kTagEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t line = 0;
  std::string_view text;  // strings: with escapes resolved
  std::int64_t integer = 0;
  double number = 0;
};

// `out.source` is what is read; the blank-space rules are those of trim_blocks and lstrip_blocks.
Result<std::vector<Token>> lex_template(Template& out);

}  // namespace tenon::jinja
