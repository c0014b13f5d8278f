#include "core/plugin/claim.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/suggest.h"
#include "core/plugin/params.h"

namespace tenon {
namespace {

constexpr std::size_t kLongest = 256;  // bytes of a claim or a condition

struct OpText {
  std::string_view text;
  CompareOp op;
};
// Longer ones first: "<=" begins like "<".
constexpr std::array kOps = {
    OpText{"==", CompareOp::kEqual},     OpText{"!=", CompareOp::kNotEqual},
    OpText{"<=", CompareOp::kLessEqual}, OpText{">=", CompareOp::kGreaterEqual},
    OpText{"<", CompareOp::kLess},       OpText{">", CompareOp::kGreater},
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || c == '+';
}

// What is left of a text, read piece by piece.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool done() {
    skip();
    return rest_.empty();
  }
  std::string word() {
    skip();
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_word);
    const auto size = static_cast<std::size_t>(end - rest_.begin());
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  bool take(std::string_view text) {
    skip();
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  std::optional<CompareOp> op() {
    for (const OpText& each : kOps)
      if (take(each.text)) return each.op;
    return std::nullopt;
  }
  std::string rest() {
    skip();
    return std::string(rest_);
  }

 private:
  void skip() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

Error wrong(std::string_view text, const std::string& where, std::string what,
            std::string fix = "the plugin's author must correct plugin.textproto") {
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P006",
               .message = "the descriptor is not coherent: \"" +
                          std::string(text.substr(0, kLongest)) + "\" " + std::move(what),
               .where = where,
               .fix = std::move(fix)};
}

const ParamSpec* spec_of(std::span<const ParamSpec> params, std::string_view key) {
  const auto at = std::find_if(params.begin(), params.end(),
                               [&](const ParamSpec& spec) { return spec.key == key; });
  return at == params.end() ? nullptr : &*at;
}

bool is_number(ParamType type) { return type == ParamType::kInt64 || type == ParamType::kDouble; }

std::optional<ParamValue> number(const std::string& word) {
  const char* const end = word.data() + word.size();
  std::int64_t whole = 0;
  if (const auto read = std::from_chars(word.data(), end, whole);
      read.ec == std::errc() && read.ptr == end)
    return ParamValue(whole);
  double real = 0;
  if (const auto read = std::from_chars(word.data(), end, real);
      read.ec == std::errc() && read.ptr == end)
    return ParamValue(real);
  return std::nullopt;
}

// The right side of a comparison with `left`; false when it does not fit.
bool set_operand(const std::string& word, const ParamSpec& left, std::span<const ParamSpec> params,
                 Comparison& out) {
  if (left.type == ParamType::kEnum) {
    out.operand = word;
    return std::find(left.values.begin(), left.values.end(), word) != left.values.end();
  }
  if (const ParamSpec* other = spec_of(params, word)) {
    out.operand_key = word;
    return other->type == left.type || (is_number(other->type) && is_number(left.type));
  }
  if (left.type == ParamType::kBool) {
    out.operand = word == "true";
    return word == "true" || word == "false";
  }
  const std::optional<ParamValue> value = number(word);
  if (value) out.operand = *value;
  return value.has_value();
}

Result<Comparison> parse_comparison(Reader& in, std::string_view text,
                                    std::span<const ParamSpec> params, const std::string& where) {
  Comparison out{.operand = true};
  std::string word = in.word();
  const bool negated = word == "not";
  if (negated) word = in.word();
  const ParamSpec* left = spec_of(params, word);
  if (left == nullptr) {
    std::vector<std::string> keys;
    for (const ParamSpec& spec : params) keys.push_back(spec.key);
    return wrong(text, where, "names no parameter of the plugin with \"" + word + "\"",
                 suggest_fix(word, keys));
  }
  if (left->type == ParamType::kString)
    return wrong(text, where, "compares \"" + word + "\", which is free text");
  out.key = word;
  const std::optional<CompareOp> op = negated ? std::nullopt : in.op();
  if (!op) {
    if (left->type != ParamType::kBool)
      return wrong(text, where, "compares \"" + word + "\" with nothing");
    out.op = negated ? CompareOp::kNotEqual : CompareOp::kEqual;
    return out;
  }
  out.op = *op;
  const bool ordered = *op != CompareOp::kEqual && *op != CompareOp::kNotEqual;
  if (ordered && !is_number(left->type))
    return wrong(text, where, "orders \"" + word + "\", which is no number");
  const std::string right = in.word();
  if (!set_operand(right, *left, params, out))
    return wrong(text, where,
                 "compares \"" + word + "\" with \"" + right + "\", which is no " +
                     param_type_name(left->type));
  return out;
}

template <class T>
bool compare(CompareOp op, const T& a, const T& b) {
  switch (op) {
    case CompareOp::kEqual:
      return a == b;
    case CompareOp::kNotEqual:
      return a != b;
    case CompareOp::kLess:
      return a < b;
    case CompareOp::kLessEqual:
      return a <= b;
    case CompareOp::kGreater:
      return a > b;
    case CompareOp::kGreaterEqual:
      return a >= b;
  }
  return false;
}

double real_of(const ParamValue& value) {
  const std::int64_t* whole = std::get_if<std::int64_t>(&value);
  const double* real = std::get_if<double>(&value);
  return whole != nullptr ? static_cast<double>(*whole) : real != nullptr ? *real : 0;
}

bool holds(const Comparison& comparison, const ResolvedParams& params) {
  const ParamValue* left = params.find(comparison.key);
  const ParamValue* right =
      comparison.operand_key.empty() ? &comparison.operand : params.find(comparison.operand_key);
  if (left == nullptr || right == nullptr) return false;
  if (left->index() == right->index()) return compare(comparison.op, *left, *right);
  return compare(comparison.op, real_of(*left), real_of(*right));
}

}  // namespace

const char* claim_field_name(ClaimField field) {
  static constexpr const char* kNames[] = {"provides", "requires", "conflicts", "prefers",
                                           "avoids"};
  return kNames[static_cast<std::size_t>(field)];
}

std::string Claim::subject() const {
  std::string out = token;
  for (std::size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "=" : "|") + values[i];
  return out;
}

Result<Condition> parse_condition(std::string_view text, std::span<const ParamSpec> params,
                                  const std::string& where) {
  if (text.size() > kLongest) return wrong(text, where, "is longer than 256 bytes");
  Reader in(text);
  Condition out{.text = std::string(text)};
  do {
    TENON_ASSIGN(Comparison comparison, parse_comparison(in, text, params, where));
    out.all.push_back(std::move(comparison));
  } while (in.take("and "));
  if (!in.done())
    return wrong(text, where, "ends with \"" + in.rest() + "\", which was not expected");
  return out;
}

Result<Claim> parse_claim(std::string_view text, std::span<const ParamSpec> params,
                          const std::string& where) {
  if (text.size() > kLongest) return wrong(text, where, "is longer than 256 bytes");
  Reader in(text);
  Claim out{.token = in.word()};
  if (out.token.empty()) return wrong(text, where, "does not begin with a token");
  if (in.take("=")) {
    do {
      out.values.push_back(in.word());
      if (out.values.back().empty()) return wrong(text, where, "has an empty value");
    } while (in.take("|"));
  }
  if (in.done()) return out;
  if (!in.take("if ")) return wrong(text, where, "has more than a token, its values and \"if\"");
  TENON_ASSIGN(out.condition, parse_condition(in.rest(), params, where));
  return out;
}

bool holds(const Condition& condition, const ResolvedParams& params) {
  return std::all_of(condition.all.begin(), condition.all.end(),
                     [&](const Comparison& comparison) { return holds(comparison, params); });
}

std::string values_text(const Condition& condition, const ResolvedParams& params) {
  std::vector<std::string> seen, out;
  for (const Comparison& comparison : condition.all)
    for (const std::string& key : {comparison.key, comparison.operand_key}) {
      const ParamValue* value = params.find(key);
      if (value == nullptr || std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
      seen.push_back(key);
      out.push_back(key + " " + param_value_text(*value));
    }
  return list_text(out);
}

}  // namespace tenon
