// The sentences that contracts are made of, as descriptors write them:
//
//   token [=value[|value...]] [if condition]
//   condition: comparison [and comparison ...]
//   comparison: parameter op operand | parameter | not parameter      op: == != < <= > >=
//
// A parameter is one of the plugin's own; an operand is a number, true, false, a value of the enum
// on the left, or another parameter. docs/operate/contracts.md explains it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/plugin/descriptor.h"

namespace tenon {

class ResolvedParams;

enum class CompareOp : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual
};

struct Comparison {
  std::string key;
  CompareOp op = CompareOp::kEqual;
  ParamValue operand;       // of the parameter's own type; a number may be of the other one
  std::string operand_key;  // not empty: the operand is this parameter instead
};

struct Condition {
  std::vector<Comparison> all;  // that must hold
  std::string text;             // as written
};

enum class ClaimField : std::uint8_t { kProvides, kRequires, kConflicts, kPrefers, kAvoids };
const char* claim_field_name(ClaimField field);  // "provides", ...

struct Claim {
  std::string token;
  std::vector<std::string> values;  // none: any, or the token has none
  std::optional<Condition> condition;

  std::string subject() const;  // "k.rotation=raw|rotated": without the condition
};

// Errors are TENON-P006, with what is wrong; `where` is the descriptor's.
Result<Condition> parse_condition(std::string_view text, std::span<const ParamSpec> params,
                                  const std::string& where);
Result<Claim> parse_claim(std::string_view text, std::span<const ParamSpec> params,
                          const std::string& where);

bool holds(const Condition& condition, const ResolvedParams& params);
// What the condition looked at: "last_budget 64, token_budget 32".
std::string values_text(const Condition& condition, const ResolvedParams& params);

}  // namespace tenon
