// The first half of the input is a GGUF file with a vocabulary, the rest a text: any vocabulary is
// taken or refused by name, and one that is taken encodes any text and gives its bytes back; a
// SentencePiece vocabulary gives spaces for their marks.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "core/format/tokenizer.h"
#include "core/format/utf8.h"

namespace {

void check(const tenon::Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, parse_special);
    bool special = false;
    std::string streamed;
    tenon::StreamDecoder decoder(tokenizer, true, tenon::StreamDecoder::Invalid::kKeep, true);
    for (const std::int32_t id : ids) {
      if (!tokenizer.is_valid(id)) std::abort();
      // The unknown token stands for what the vocabulary has nothing else for.
      const bool unknown = !tokenizer.covers_all_bytes() && id == tokenizer.unknown();
      if (!parse_special && tokenizer.is_control(id) && !unknown) std::abort();
      special |= tokenizer.is_control(id) || tokenizer.kind(id) == tenon::TokenKind::kUserDefined;
      streamed += decoder.push(id);
    }
    streamed += decoder.finish();
    const std::string whole = tokenizer.decode(ids, true);
    if (streamed != whole) std::abort();
    // A space that is put after a special token stays.
    if (!tokenizer.covers_all_bytes() || (tokenizer.add_space_prefix() && special)) continue;
    if (tokenizer.is_sentence_piece()
            ? tenon::utf8_unmark_spaces(whole) != tenon::utf8_unmark_spaces(text)
            : whole != text)
      std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first four bytes say where the file ends.
  std::uint32_t split = 0;
  if (size < sizeof split) return 0;
  std::memcpy(&split, data, sizeof split);
  data += sizeof split;
  size -= sizeof split;
  if (split > size) split = static_cast<std::uint32_t>(size);
  const auto file =
      tenon::GgufFile::parse({reinterpret_cast<const std::byte*>(data), split}, "fuzz.gguf");
  if (!file.ok()) return 0;
  const auto tokenizer = tenon::Tokenizer::from_gguf(*file);
  if (!tokenizer.ok()) return 0;
  check(*tokenizer, {reinterpret_cast<const char*>(data) + split, size - split});
  return 0;
}
