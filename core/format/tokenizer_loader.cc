// Builds a Tokenizer from a GGUF file's metadata: token texts out of the byte alphabet, or out of
// SentencePiece's spelling, into one arena; the merges as pairs of ids, or the scores.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/base/suggest.h"
#include "core/format/tokenizer.h"
#include "core/format/utf8.h"

namespace tenon {
namespace {

constexpr std::size_t kMergesAtOnce = 64;
constexpr std::uint32_t kAlphabetEnd = 324;  // 256 + the 68 bytes that do not stand for themselves

// Byte-level vocabularies write each byte as a printable character: itself where Latin-1 prints it,
// else the next free one from U+0100 on. Code point to byte; -1: not in the alphabet.
constexpr std::array<std::int16_t, kAlphabetEnd> make_alphabet() {
  std::array<std::int16_t, kAlphabetEnd> out{};
  for (auto& byte : out) byte = -1;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    out[itself ? byte : next++] = static_cast<std::int16_t>(byte);
  }
  return out;
}
constexpr std::array<std::int16_t, kAlphabetEnd> kAlphabet = make_alphabet();

// Writes the bytes that `text` stands for to `out` (room for text.size()); the number of bytes, or
// -1 when a character is not in the alphabet.
std::ptrdiff_t from_alphabet(std::string_view text, char* out) {
  char* end = out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0 || length > 2) return -1;
    const std::uint32_t code = utf8_decode(text, at, length);
    if (code >= kAlphabetEnd || kAlphabet[code] < 0) return -1;
    *end++ = static_cast<char>(kAlphabet[code]);
    at += length;
  }
  return end - out;
}

// The byte that a byte token of a SentencePiece vocabulary is: "<0x0A>"; -1 when it is not written
// so.
int byte_of(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return -1;
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

template <class T>
Hash128 hash_items(const std::vector<T>& items, const Hash128& seed) {
  return hash_bytes(std::as_bytes(std::span(items)), seed);
}

}  // namespace

class TokenizerLoader {
 public:
  TokenizerLoader(const GgufFile& file, Tokenizer& tokenizer) : file_(file), out_(tokenizer) {}

  Status load_byte_level() {
    TENON_TRY(load_kinds());
    TENON_TRY(load_texts());
    TENON_TRY(load_merges());
    // After the merges, which speak of texts in the alphabet only.
    out_.normal_.insert(odd_);
    TENON_TRY(load_named_ids(out_.pretokenizer_->rule().bos_when_unstated));
    sort_special();
    return {};
  }

  Status load_sentence_piece() {
    TENON_TRY(load_kinds());
    if (!file_.has("tokenizer.ggml.token_type"))
      return fail("TENON-F050", "a SentencePiece vocabulary has no token types",
                  "no tokenizer.ggml.token_type", "one type for each token");
    TENON_TRY(load_scores());
    TENON_TRY(allocate_texts());
    for (std::size_t i = 0; i < texts_.size(); ++i)
      TENON_TRY(load_piece(static_cast<std::int32_t>(i)));
    out_.normal_.insert(reachable_);
    out_.covers_all_bytes_ = std::all_of(out_.byte_ids_.begin(), out_.byte_ids_.end(),
                                         [](std::int32_t id) { return id >= 0; });
    // What the format leaves unsaid is what the Llama vocabularies have.
    out_.bos_ = unstated_id(1, TokenKind::kControl);
    out_.eos_ = unstated_id(2, TokenKind::kControl);
    out_.unknown_ = unstated_id(0, TokenKind::kUnknown);
    TENON_TRY(load_id("tokenizer.ggml.unknown_token_id", out_.unknown_));
    TENON_TRY(load_named_ids(true));
    TENON_TRY(load_flag("tokenizer.ggml.add_space_prefix", true, out_.add_space_prefix_));
    if (!out_.covers_all_bytes_ && !out_.unknown_)
      return fail("TENON-F049", "characters outside the vocabulary have no tokens",
                  "neither 256 byte tokens nor an unknown token", "one of them");
    set_identity("tenon.tokenizer.spm/1", out_.add_space_prefix_ ? "prefix" : "", out_.scores_);
    sort_special();
    return {};
  }

 private:
  Error fail(std::string id, std::string message, std::string found, std::string expected) const {
    return {.code = Code::kInvalidArgument,
            .id = std::move(id),
            .message = std::move(message),
            .where = file_.path(),
            .found = std::move(found),
            .expected = std::move(expected),
            .fix = "convert the model again with a current converter"};
  }

  Status load_kinds() {
    TENON_ASSIGN(texts_, file_.get_strings("tokenizer.ggml.tokens"));
    constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
    if (texts_.empty() || texts_.size() > kMost)
      return fail("TENON-F032", "the vocabulary's size cannot be used",
                  std::to_string(texts_.size()) + " tokens", "1 to 2^31 - 1 tokens");
    out_.kinds_.assign(texts_.size(), TokenKind::kNormal);
    if (!file_.has("tokenizer.ggml.token_type")) return {};
    TENON_ASSIGN(const std::vector<std::int64_t> types,
                 file_.get_ints("tokenizer.ggml.token_type"));
    if (types.size() != texts_.size())
      return fail("TENON-F033", "token types and tokens differ in number",
                  std::to_string(types.size()) + " types",
                  std::to_string(texts_.size()) + ", one for each token");
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i] < 1 || types[i] > 6)
        return fail("TENON-F033", "token " + std::to_string(i) + " has an unknown type",
                    std::to_string(types[i]), "1 to 6");
      out_.kinds_[i] = static_cast<TokenKind>(types[i]);
    }
    return {};
  }

  Status load_scores() {
    if (!file_.has("tokenizer.ggml.scores"))
      return fail("TENON-F048", "a SentencePiece vocabulary has no scores",
                  "no tokenizer.ggml.scores", "one score for each token");
    TENON_ASSIGN(const std::vector<double> scores, file_.get_floats("tokenizer.ggml.scores"));
    if (scores.size() != texts_.size())
      return fail("TENON-F048", "scores and tokens differ in number",
                  std::to_string(scores.size()) + " scores",
                  std::to_string(texts_.size()) + ", one for each token");
    out_.scores_.reserve(scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (!std::isfinite(scores[i]))
        return fail("TENON-F048", "token " + std::to_string(i) + " has no usable score",
                    std::to_string(scores[i]), "a finite number");
      out_.scores_.push_back(static_cast<float>(scores[i]));
    }
    return {};
  }

  // An id that the file does not name: `id` if that token is of this kind.
  std::optional<std::int32_t> unstated_id(std::int32_t id, TokenKind kind) const {
    return out_.is_valid(id) && out_.kind(id) == kind ? std::optional(id) : std::nullopt;
  }

  Status load_piece(std::int32_t id) {
    const auto i = static_cast<std::size_t>(id);
    const TokenKind kind = out_.kind(id);
    std::string bytes(texts_[i]);
    if (kind == TokenKind::kByte) {
      const int byte = byte_of(texts_[i]);
      if (byte < 0)
        return fail("TENON-F049", "token " + std::to_string(i) + " is no byte",
                    quote_for_message(texts_[i]), "<0x00> to <0xFF>");
      bytes.assign(1, static_cast<char>(byte));
      std::int32_t& known = out_.byte_ids_[static_cast<std::size_t>(byte)];
      if (known < 0) known = id;
    }
    const bool text = kind == TokenKind::kNormal || kind == TokenKind::kUnused;
    // Texts are merged with spaces in their marked form, so a plain space in a token is out of
    // their reach.
    const bool reachable = text && !bytes.empty() && bytes.find(' ') == std::string::npos;
    if (text) bytes = utf8_unmark_spaces(bytes);
    std::copy(bytes.begin(), bytes.end(), out_.arena_.get() + out_.offsets_[i]);
    out_.offsets_[i + 1] = out_.offsets_[i] + static_cast<std::uint32_t>(bytes.size());
    if (!reachable) return {};
    reachable_.push_back(id);
    out_.longest_ = std::max(out_.longest_, bytes.size());
    return {};
  }

  Status load_flag(std::string_view key, bool unstated, bool& out) const {
    out = unstated;
    if (!file_.has(key)) return {};
    TENON_ASSIGN(out, file_.get_bool(key));
    return {};
  }

  // Room for the texts, in the form of the file: no other is longer.
  Status allocate_texts() {
    std::uint64_t total = 0;
    for (const std::string_view text : texts_) total += text.size();
    if (total > std::numeric_limits<std::uint32_t>::max())
      return fail("TENON-F032", "the vocabulary's texts are too long",
                  std::to_string(total) + " bytes", "less than 4 GiB");
    out_.arena_ = std::make_unique<char[]>(total + 1);
    out_.offsets_.assign(texts_.size() + 1, 0);
    out_.normal_.reserve(texts_.size(), {out_.arena_.get(), out_.offsets_.data()});
    out_.byte_ids_.fill(-1);
    return {};
  }

  Status load_texts() {
    TENON_TRY(allocate_texts());
    for (std::size_t i = 0; i < texts_.size(); ++i) load_text(static_cast<std::int32_t>(i));
    out_.normal_.insert(reachable_);
    out_.covers_all_bytes_ = true;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      out_.byte_ids_[byte] = out_.normal_.find({&c, 1});
      out_.covers_all_bytes_ &= out_.byte_ids_[byte] >= 0;
    }
    return {};
  }

  void load_text(std::int32_t id) {
    const auto i = static_cast<std::size_t>(id);
    const TokenKind kind = out_.kind(id);
    char* const target = out_.arena_.get() + out_.offsets_[i];
    std::ptrdiff_t bytes = -1;
    if (kind == TokenKind::kNormal || kind == TokenKind::kByte) {
      bytes = from_alphabet(texts_[i], target);
      if (bytes < 0) odd_.push_back(id);
    }
    if (bytes < 0) {
      std::copy(texts_[i].begin(), texts_[i].end(), target);
      out_.offsets_[i + 1] = out_.offsets_[i] + static_cast<std::uint32_t>(texts_[i].size());
    } else {
      out_.offsets_[i + 1] = out_.offsets_[i] + static_cast<std::uint32_t>(bytes);
      if (bytes > 0) reachable_.push_back(id);
    }
  }

  Status load_merges() {
    TENON_ASSIGN(const std::span<const std::string_view> merges,
                 file_.get_strings("tokenizer.ggml.merges"));
    if (merges.size() > std::numeric_limits<std::int32_t>::max())
      return fail("TENON-F035", "there are too many merges", std::to_string(merges.size()),
                  "less than 2^31");
    out_.merges_.reserve(merges.size());
    std::vector<std::int32_t> triples;
    triples.reserve(merges.size() * 3);
    for (std::size_t rank = 0; rank < merges.size(); rank += kMergesAtOnce)
      TENON_TRY(load_merges(merges.subspan(rank, std::min(kMergesAtOnce, merges.size() - rank)),
                            rank, triples));
    set_identity("tenon.tokenizer/1", out_.pretokenizer_->rule().name, triples);
    return {};
  }

  // Some merges, from rank `first` on: the three texts of each are looked up together.
  Status load_merges(std::span<const std::string_view> merges, std::size_t first,
                     std::vector<std::int32_t>& triples) {
    std::string_view texts[3 * kMergesAtOnce];
    std::int32_t ids[3 * kMergesAtOnce];
    std::size_t room = 0;
    for (const std::string_view merge : merges) room += merge.size();
    merge_bytes_.resize(room);
    char* at = merge_bytes_.data();
    for (std::size_t i = 0; i < merges.size(); ++i) {
      // Neither side is empty, and a space is not in the alphabet.
      const std::size_t space = merges[i].find(' ', 1);
      std::ptrdiff_t left = -1, right = -1;
      if (space != std::string_view::npos) {
        left = from_alphabet(merges[i].substr(0, space), at);
        if (left > 0) right = from_alphabet(merges[i].substr(space + 1), at + left);
      }
      const std::string_view both(at, static_cast<std::size_t>(right > 0 ? left + right : 0));
      const std::size_t middle = both.empty() ? 0 : static_cast<std::size_t>(left);
      texts[3 * i] = both.substr(0, middle);
      texts[3 * i + 1] = both.substr(middle);
      texts[3 * i + 2] = both;
      at += both.size();
    }
    out_.normal_.find(std::span(texts, 3 * merges.size()), ids);
    for (std::size_t i = 0; i < merges.size(); ++i) {
      if (texts[3 * i].empty() || ids[3 * i] < 0 || ids[3 * i + 1] < 0 || ids[3 * i + 2] < 0)
        return fail("TENON-F035",
                    "merge " + std::to_string(first + i) + " names a token that does not exist",
                    quote_for_message(merges[i]),
                    "two tokens of the vocabulary whose sum is one too");
      out_.merges_.prefetch(ids[3 * i], ids[3 * i + 1]);
    }
    for (std::size_t i = 0; i < merges.size(); ++i)
      out_.merges_.insert(ids[3 * i], ids[3 * i + 1],
                          {static_cast<std::uint32_t>(first + i), ids[3 * i + 2]});
    triples.insert(triples.end(), ids, ids + 3 * merges.size());
    return {};
  }

  // rest: merges or scores.
  template <class T>
  void set_identity(std::string_view domain, std::string_view rule, const std::vector<T>& rest) {
    Hash128 hash = hash_text(domain);
    hash = hash_text(rule, hash);
    hash = hash_text({out_.arena_.get(), out_.offsets_.back()}, hash);
    hash = hash_items(out_.offsets_, hash);
    hash = hash_items(out_.kinds_, hash);
    out_.identity_ = hash_items(rest, hash);
  }

  Status load_id(std::string_view key, std::optional<std::int32_t>& out) {
    if (!file_.has(key)) return {};
    TENON_ASSIGN(const std::uint64_t id, file_.get_uint(key));
    if (id >= out_.kinds_.size())
      return fail("TENON-F036", std::string(key) + " is no token", std::to_string(id),
                  "less than " + std::to_string(out_.kinds_.size()));
    out = static_cast<std::int32_t>(id);
    // Some files mark these as user-defined, which text from strangers could then spell.
    if (out_.kinds_[id] == TokenKind::kUserDefined) out_.kinds_[id] = TokenKind::kControl;
    return {};
  }

  Status load_named_ids(bool bos_when_unstated) {
    TENON_TRY(load_id("tokenizer.ggml.bos_token_id", out_.bos_));
    TENON_TRY(load_id("tokenizer.ggml.eos_token_id", out_.eos_));
    TENON_TRY(load_id("tokenizer.ggml.eot_token_id", out_.eot_));
    TENON_TRY(load_flag("tokenizer.ggml.add_bos_token", bos_when_unstated, out_.add_bos_));
    TENON_TRY(load_flag("tokenizer.ggml.add_eos_token", false, out_.add_eos_));
    if (out_.add_bos_ && !out_.bos_)
      return fail("TENON-F036", "a BOS token is to be added but none is named",
                  "no tokenizer.ggml.bos_token_id", "the id of the BOS token");
    if (out_.add_eos_ && !out_.eos_)
      return fail("TENON-F036", "an EOS token is to be added but none is named",
                  "no tokenizer.ggml.eos_token_id", "the id of the EOS token");
    return {};
  }

  void sort_special() {
    for (std::int32_t id = 0; id < out_.vocabulary_size(); ++id) {
      const bool special = out_.is_control(id) || out_.kind(id) == TokenKind::kUserDefined;
      if (!special || out_.token_bytes(id).empty()) continue;
      out_.special_.push_back(id);
      out_.special_start_[static_cast<unsigned char>(out_.token_bytes(id)[0])] = true;
    }
    std::sort(out_.special_.begin(), out_.special_.end(), [&](std::int32_t a, std::int32_t b) {
      const int c = out_.token_bytes(a).compare(out_.token_bytes(b));
      return c != 0 ? c < 0 : a < b;
    });
  }

  const GgufFile& file_;
  Tokenizer& out_;
  std::span<const std::string_view> texts_;
  std::vector<char> merge_bytes_;
  std::vector<std::int32_t> reachable_;  // what merging may give
  std::vector<std::int32_t> odd_;        // normal tokens that are not written in the alphabet
};

Result<Tokenizer> Tokenizer::from_gguf(const GgufFile& file) {
  TENON_ASSIGN(const std::string_view model, file.get_string("tokenizer.ggml.model"));
  Tokenizer out;
  if (model == "llama") {
    TENON_TRY(TokenizerLoader(file, out).load_sentence_piece());
    return out;
  }
  if (model != "gpt2")
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-F030",
                 .message = "this kind of tokenizer is not supported",
                 .where = file.path(),
                 .found = "tokenizer.ggml.model " + quote_for_message(model),
                 .expected = "\"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece BPE)",
                 .fix = "use a model with one of these tokenizers"};
  std::string_view pre = "default";
  if (file.has("tokenizer.ggml.pre")) {
    TENON_ASSIGN(pre, file.get_string("tokenizer.ggml.pre"));
  }
  const PretokenizerRule* rule = find_pretokenizer_rule(pre);
  if (!rule) {
    std::string known;
    for (const std::string& name : pretokenizer_names())
      known += (known.empty() ? "" : ", ") + name;
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-F031",
                 .message = "this pre-tokenizer is not known",
                 .where = file.path(),
                 .found = "tokenizer.ggml.pre " + quote_for_message(pre),
                 .expected = "one of " + known,
                 .fix = suggest_fix(pre.substr(0, 80), pretokenizer_names())};
  }
  TENON_ASSIGN(Pretokenizer pretokenizer, Pretokenizer::create(*rule));
  out.pretokenizer_ = std::move(pretokenizer);
  TENON_TRY(TokenizerLoader(file, out).load_byte_level());
  return out;
}

}  // namespace tenon
