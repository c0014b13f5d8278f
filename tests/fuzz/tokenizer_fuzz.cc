// The first half of the input is a GGUF file with a vocabulary, the rest a text: any vocabulary is
// taken or refused by name, and one that is taken encodes any text and gives its bytes back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "core/format/tokenizer.h"

namespace {

void check(const tenon::Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, parse_special);
    std::string streamed;
    tenon::StreamDecoder decoder(tokenizer, true);
    for (const std::int32_t id : ids) {
      if (!tokenizer.is_valid(id)) std::abort();
      if (!parse_special && tokenizer.is_control(id)) std::abort();
      streamed += decoder.push(id);
    }
    streamed += decoder.finish();
    const std::string whole = tokenizer.decode(ids, true);
    if (streamed != whole) std::abort();
    if (tokenizer.covers_all_bytes() && whole != text) std::abort();
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
