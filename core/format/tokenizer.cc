#include "core/format/tokenizer.h"

#include <algorithm>

#include "core/format/spm.h"
#include "core/format/utf8.h"

namespace tenon {

bool Tokenizer::is_control(std::int32_t id) const {
  return is_valid(id) && (kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown);
}

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  if (!is_valid(id)) return {};
  return TokenTexts{arena_.get(), offsets_.data()}[id];
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool with_special) const {
  std::string out;
  bool at_start = true;
  for (const std::int32_t id : ids) out += shown(id, with_special, at_start);
  return out;
}

std::string_view Tokenizer::shown(std::int32_t id, bool with_special, bool& at_start) const {
  if (is_control(id)) return with_special ? token_bytes(id) : std::string_view();
  if (!is_valid(id)) return {};
  std::string_view bytes = token_bytes(id);
  // No space is put before a user-defined token.
  if (at_start && add_space_prefix_ && kind(id) == TokenKind::kNormal && bytes.starts_with(' '))
    bytes.remove_prefix(1);
  at_start = false;
  return bytes;
}

std::optional<std::int32_t> Tokenizer::find_token(std::string_view bytes) const {
  const auto less = [&](std::int32_t id, std::string_view key) { return token_bytes(id) < key; };
  const auto at = std::lower_bound(special_.begin(), special_.end(), bytes, less);
  if (at != special_.end() && token_bytes(*at) == bytes) return *at;
  const std::int32_t id = normal_.find(bytes);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::int32_t Tokenizer::match_special(std::string_view text, bool parse_special) const {
  // special_ is sorted, so the tokens that start with the first `depth` bytes are a range of it;
  // each further byte narrows the range, and a token that ends here is the first of it.
  std::int32_t longest = -1;
  auto low = special_.begin(), high = special_.end();
  for (std::size_t depth = 0; depth < text.size() && low != high; ++depth) {
    const auto byte_at = [&](std::int32_t id) {
      return static_cast<unsigned char>(token_bytes(id)[depth]);
    };
    const auto byte = static_cast<unsigned char>(text[depth]);
    low = std::partition_point(low, high, [&](std::int32_t id) { return byte_at(id) < byte; });
    high = std::partition_point(low, high, [&](std::int32_t id) { return byte_at(id) == byte; });
    bool taken = false;  // of tokens with the same bytes the first that may be used
    for (; low != high && token_bytes(*low).size() == depth + 1; ++low) {
      if (taken || (!parse_special && is_control(*low))) continue;
      longest = *low;
      taken = true;
    }
  }
  return longest;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<std::int32_t> out;
  out.reserve(text.size() / 3 + 4);
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size();) {
    const bool may_start = special_start_[static_cast<unsigned char>(text[at])];
    const std::int32_t id = may_start ? match_special(text.substr(at), parse_special) : -1;
    if (id < 0) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), out);
    out.push_back(id);
    at += token_bytes(id).size();
    plain = at;
  }
  encode_plain(text.substr(plain), out);
  return out;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<std::int32_t>& out) const {
  if (text.empty()) return;
  if (pretokenizer_)
    encode_byte_level(text, out);
  else
    encode_sentence_piece(text, out);
}

void Tokenizer::encode_sentence_piece(std::string_view text, std::vector<std::int32_t>& out) const {
  const std::string spaced = (add_space_prefix_ ? " " : "") + utf8_unmark_spaces(text);
  SpmMerger merger(normal_, scores_, longest_);
  for (const SpmMerger::Piece& piece : merger.merge(spaced)) {
    if (piece.token >= 0)
      out.push_back(piece.token);
    else
      encode_bytes(piece.text, out);
  }
}

void Tokenizer::encode_bytes(std::string_view character, std::vector<std::int32_t>& out) const {
  const bool all = std::all_of(character.begin(), character.end(),
                               [&](char c) { return has_byte(static_cast<unsigned char>(c)); });
  if (!all) return out.push_back(*unknown_);  // the loader has seen that there is one
  for (const char c : character) out.push_back(byte_ids_[static_cast<unsigned char>(c)]);
}

void Tokenizer::encode_byte_level(std::string_view text, std::vector<std::int32_t>& out) const {
  std::vector<std::uint32_t> lengths;
  lengths.reserve(text.size() / 4 + 4);
  pretokenizer_->split(text, lengths);
  BpeMerger merger(merges_);
  std::vector<std::int32_t> symbols;
  std::size_t at = 0;
  for (const std::uint32_t length : lengths) {
    const std::string_view piece = text.substr(at, length);
    at += length;
    if (pretokenizer_->rule().whole_words) {
      if (const std::int32_t whole = normal_.find(piece); whole >= 0) {
        out.push_back(whole);
        continue;
      }
    }
    symbols.clear();
    for (const char c : piece)
      if (const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)]; id >= 0)
        symbols.push_back(id);
    merger.merge(symbols);
    out.insert(out.end(), symbols.begin(), symbols.end());
  }
}

std::string StreamDecoder::give(std::size_t bytes) {
  std::string out = held_.substr(0, bytes);
  held_.erase(0, bytes);
  return invalid_ == Invalid::kReplace ? utf8_replace_invalid(out) : out;
}

std::string StreamDecoder::push(std::int32_t id) {
  held_ += tokenizer_->shown(id, with_special_, at_start_);
  return give(held_.size() - utf8_unfinished_tail(held_));
}

std::string StreamDecoder::finish() {
  at_start_ = whole_;
  return give(held_.size());
}

}  // namespace tenon
