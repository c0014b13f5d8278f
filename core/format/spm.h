// Merging as SentencePiece's byte-pair models do it: symbols are characters, and a pair may become
// one when its text is a token. The token with the highest score comes first, the leftmost of
// equals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/format/bpe.h"

namespace tenon {

// Buffers that a run of texts shares. Time is O(n log n) in the characters of a text.
class SpmMerger {
 public:
  struct Piece {
    std::string_view text;
    std::int32_t token;  // -1: a character that is no token; a byte that is not UTF-8 is one
  };

  // scores: one for each token of the vocabulary, none NaN. longest: bytes of the longest token.
  SpmMerger(const TokenTable& tokens, std::span<const float> scores, std::size_t longest)
      : tokens_(tokens), scores_(scores), longest_(longest) {}

  // Less than 4 GiB. The pieces are `text`, cut; valid until the next call.
  std::span<const Piece> merge(std::string_view text);

 private:
  struct Symbol {
    std::uint32_t begin, size;  // size 0: it is part of the symbol to its left
    std::uint32_t previous, next;
    std::int32_t token;
  };
  struct Candidate {
    float score;
    std::uint32_t left, right, size;  // indices of two symbols, bytes of both
    std::int32_t token;
  };
  void split(std::string_view text);
  void push_pair(std::string_view text, std::uint32_t left, std::uint32_t right);

  const TokenTable& tokens_;
  std::span<const float> scores_;
  std::size_t longest_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;
  std::vector<Piece> pieces_;
};

}  // namespace tenon
