// Cuts text into the pieces that byte-pair merges never cross, as `tokenizer.ggml.pre` names it.
//
// Each rule is a list of patterns applied one after the other: every pattern cuts the pieces of the
// one before into its matches and what lies between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct PretokenizerRule {
  std::string_view name;
  std::vector<std::string_view> patterns;
  bool whole_words = false;        // a piece that is a token is taken whole, merges or not
  bool bos_when_unstated = false;  // what add_bos_token means when the file does not say
};

// Null for a name that is not known.
const PretokenizerRule* find_pretokenizer_rule(std::string_view name);
std::vector<std::string> pretokenizer_names();

class Pretokenizer {
 public:
  // TENON-F034 when a pattern does not compile.
  static Result<Pretokenizer> create(const PretokenizerRule& rule);
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;
  ~Pretokenizer();

  const PretokenizerRule& rule() const { return *rule_; }

  // Appends the pieces' lengths, in order; they add up to the text's. Any bytes: a run that is not
  // UTF-8 is a piece of its own. Safe to call from several threads.
  void split(std::string_view text, std::vector<std::uint32_t>& lengths) const;

 private:
  struct Pattern;
  Pretokenizer() = default;
  void split_valid(std::string_view text, std::vector<std::uint32_t>& lengths) const;

  const PretokenizerRule* rule_ = nullptr;
  std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace tenon
