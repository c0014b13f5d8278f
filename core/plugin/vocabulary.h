// The tokens that contracts are written with. The list is sdk/abi/vocabulary.toml; the host knows
// it through vocabulary_table.h, which is generated.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/plugin/claim.h"

namespace tenon {

struct VocabularyToken {
  std::string_view name;
  std::array<std::string_view, 4> kinds;   // that may provide it, and "core"; then empty ones
  std::array<std::string_view, 4> values;  // then empty ones; none: it is said without a value
  bool one_owner;
  std::string_view derived;  // not empty: the host makes it from this field, nobody writes it
  std::string_view doc;

  bool has_value(std::string_view value) const;
  bool may_provide(std::string_view kind) const;
};

std::span<const VocabularyToken> vocabulary();
// Null: no such token.
const VocabularyToken* find_token(std::string_view name);

// Is the claim of a plugin of this kind made of words that exist? TENON-P061: unknown token; P062:
// a value that is unknown, missing, or given to a token without; P063: a token that this kind
// cannot provide.
Status check_words(const Claim& claim, ClaimField field, const std::string& id,
                   const std::string& kind, const std::string& where);

}  // namespace tenon
