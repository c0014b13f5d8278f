#include "core/plugin/vocabulary.h"

#include <algorithm>
#include <vector>

#include "core/base/suggest.h"
#include "core/plugin/vocabulary_table.h"

namespace tenon {
namespace {

bool among(std::span<const std::string_view> list, std::string_view item) {
  return !item.empty() && std::find(list.begin(), list.end(), item) != list.end();
}

std::vector<std::string> names(std::span<const std::string_view> list) {
  std::vector<std::string> out;
  for (const std::string_view item : list)
    if (!item.empty()) out.emplace_back(item);
  return out;
}

Error bad_words(const Claim& claim, ClaimField field, const std::string& id,
                const std::string& where) {
  return Error{.code = Code::kInvalidArgument,
               .message = id + " " + claim_field_name(field) + " \"" + claim.subject() + "\"",
               .where = where,
               .fix =
                   "docs/reference/vocabulary.md lists the tokens; use a version of the plugin and "
                   "of Tenon that know the same"};
}

Status check_values(const VocabularyToken& token, const Claim& claim, ClaimField field,
                    const std::string& id, const std::string& where) {
  Error error = bad_words(claim, field, id, where);
  error.id = "TENON-P062";
  const std::vector<std::string> known = names(token.values);
  if (known.empty()) {
    if (claim.values.empty()) return {};
    error.message += ", but that token has no values";
    return error;
  }
  error.expected = "one of: " + list_text(known);
  for (const std::string& value : claim.values)
    if (!token.has_value(value)) {
      error.message += ", a value that the vocabulary does not have";
      error.found = "\"" + value + "\"";
      error.fix = suggest_fix(value, known);
      return error;
    }
  if (field != ClaimField::kProvides || claim.values.size() == 1) return {};
  error.message += ", but must say one value";
  return error;
}

}  // namespace

bool VocabularyToken::has_value(std::string_view value) const { return among(values, value); }
bool VocabularyToken::may_provide(std::string_view kind) const { return among(kinds, kind); }

std::span<const VocabularyToken> vocabulary() { return kVocabulary; }

const VocabularyToken* find_token(std::string_view name) {
  const auto at = std::find_if(kVocabulary.begin(), kVocabulary.end(),
                               [&](const VocabularyToken& token) { return token.name == name; });
  return at == kVocabulary.end() ? nullptr : &*at;
}

Status check_words(const Claim& claim, ClaimField field, const std::string& id,
                   const std::string& kind, const std::string& where) {
  const VocabularyToken* token = find_token(claim.token);
  if (token == nullptr) {
    Error error = bad_words(claim, field, id, where);
    error.id = "TENON-P061";
    error.message += ", a token that the vocabulary does not have";
    std::vector<std::string> known;
    for (const VocabularyToken& each : kVocabulary) known.emplace_back(each.name);
    error.fix = suggest_fix(claim.token, known);
    return error;
  }
  TENON_TRY(check_values(*token, claim, field, id, where));
  if (field != ClaimField::kProvides || token->may_provide(kind)) return {};
  Error error = bad_words(claim, field, id, where);
  error.id = "TENON-P063";
  error.found = "kind " + kind;
  if (token->derived.empty()) {
    error.message += ", which this kind of plugin cannot provide";
    error.expected = "kind " + list_text(names(token->kinds));
  } else {
    error.message += ", which the host reads from another field";
    error.expected = std::string(token->derived);
  }
  return error;
}

}  // namespace tenon
