// Tokenizers as GGUF files carry them: byte-level BPE (tokenizer.ggml.model "gpt2") and
// SentencePiece's BPE with scores ("llama").
//
// A Tokenizer owns what it needs; the file may go. Encoding takes any bytes and never fails. Bytes
// that are not UTF-8 are encoded one at a time.
//
// Byte-level: some vocabularies lack a few bytes (SmolLM2 has no token for 21 of them, such as 0x04
// and 0xFF): such a byte is left out, as in the reference implementation; covers_all_bytes() tells.
//
// SentencePiece: a character that is no token becomes the tokens of its bytes, or the unknown token
// where the vocabulary has no such bytes. A space and U+2581 are the same character; both decode as
// a space. Where add_space_prefix() says so, encoding puts a space before the text and after each
// special token, and decode() takes away the one at the start. Text is never merged into a control
// token or a byte token.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/format/bpe.h"
#include "core/format/gguf.h"
#include "core/format/pretokenizer.h"

namespace tenon {

// tokenizer.ggml.token_type.
enum class TokenKind : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class Tokenizer {
 public:
  static Result<Tokenizer> from_gguf(const GgufFile& file);

  std::int32_t vocabulary_size() const { return static_cast<std::int32_t>(kinds_.size()); }
  TokenKind kind(std::int32_t id) const { return kinds_[static_cast<std::size_t>(id)]; }
  bool is_valid(std::int32_t id) const { return id >= 0 && id < vocabulary_size(); }
  bool is_control(std::int32_t id) const;
  bool is_sentence_piece() const { return !pretokenizer_.has_value(); }
  bool covers_all_bytes() const { return covers_all_bytes_; }
  bool has_byte(unsigned char byte) const { return byte_ids_[byte] >= 0; }

  // With `parse_special`, text such as <|im_start|> becomes its control token; leave it off for
  // text from strangers. User-defined tokens are always matched, the longest first. Adds no BOS.
  std::vector<std::int32_t> encode(std::string_view text, bool parse_special) const;

  bool add_space_prefix() const { return add_space_prefix_; }

  // The bytes a token stands for; for a control token its text, which decode() gives only on
  // request. Empty for an id out of range.
  std::string_view token_bytes(std::int32_t id) const;
  // A whole text: see add_space_prefix(). Ids out of range stand for nothing.
  std::string decode(std::span<const std::int32_t> ids, bool with_special) const;

  // By its bytes; special tokens before normal ones.
  std::optional<std::int32_t> find_token(std::string_view bytes) const;
  std::optional<std::int32_t> bos() const { return bos_; }
  std::optional<std::int32_t> eos() const { return eos_; }
  std::optional<std::int32_t> eot() const { return eot_; }  // end of turn, where it is its own
  std::optional<std::int32_t> unknown() const { return unknown_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }

  // Over vocabulary, kinds, merges or scores, and how text is cut: part of cache keys.
  const Hash128& identity() const { return identity_; }

 private:
  friend class TokenizerLoader;
  friend class StreamDecoder;
  Tokenizer() = default;
  void encode_plain(std::string_view text, std::vector<std::int32_t>& out) const;
  void encode_byte_level(std::string_view text, std::vector<std::int32_t>& out) const;
  void encode_sentence_piece(std::string_view text, std::vector<std::int32_t>& out) const;
  void encode_bytes(std::string_view character, std::vector<std::int32_t>& out) const;
  // What decoding shows of a token; `at_start` says that a space put before the text would be here.
  std::string_view shown(std::int32_t id, bool with_special, bool& at_start) const;
  // The longest special token that `text` starts with, or -1.
  std::int32_t match_special(std::string_view text, bool parse_special) const;

  std::optional<Pretokenizer> pretokenizer_;  // byte-level
  std::vector<float> scores_;                 // SentencePiece: one for each token
  std::size_t longest_ = 0;                   // SentencePiece: bytes of the longest normal token
  std::unique_ptr<char[]> arena_;             // the bytes of all tokens; the tables point into it
  std::vector<std::uint32_t> offsets_;        // vocabulary_size() + 1
  std::vector<TokenKind> kinds_;
  TokenTable normal_;
  std::vector<std::int32_t> special_;  // control and user-defined ids, sorted by their bytes
  std::array<bool, 256> special_start_{};
  MergeTable merges_;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: the vocabulary has no such byte
  bool covers_all_bytes_ = false;
  std::optional<std::int32_t> bos_, eos_, eot_, unknown_;
  bool add_bos_ = false, add_eos_ = false, add_space_prefix_ = false;
  Hash128 identity_;
};

// Turns a stream of tokens into text that can be shown as it comes: a character whose bytes are not
// all there yet is held back.
class StreamDecoder {
 public:
  enum class Invalid { kKeep, kReplace };  // bytes that are not UTF-8: as they are, or U+FFFD

  // A stream continues a text, so that its first space is kept. whole: it is all of one, and what
  // it gives is what decode() gives.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool with_special = false,
                         Invalid invalid = Invalid::kKeep, bool whole = false)
      : tokenizer_(&tokenizer),
        with_special_(with_special),
        invalid_(invalid),
        whole_(whole),
        at_start_(whole) {}

  std::string push(std::int32_t id);
  std::string finish();  // what was held back; the decoder can be used again

 private:
  std::string give(std::size_t bytes);

  const Tokenizer* tokenizer_;
  bool with_special_;
  Invalid invalid_;
  bool whole_, at_start_;
  std::string held_;
};

}  // namespace tenon
