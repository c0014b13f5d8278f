// A byte-level vocabulary small enough to write out: all bytes, a few merges, special tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/conform/gguf_writer.h"
#include "core/format/tokenizer.h"
#include "core/format/utf8.h"

namespace tenon {

// `bytes` in the alphabet of byte-level vocabularies.
inline std::string to_alphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t code = byte;
    if (byte <= 32) code = 256 + byte;
    if (byte >= 127 && byte <= 160) code = 256 + 33 + byte - 127;
    if (byte == 173) code = 256 + 67;
    utf8_append(out, code);
  }
  return out;
}

struct SyntheticVocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;
  std::string model = "gpt2", pre = "smollm";
  std::vector<std::pair<std::string, std::uint32_t>> ids = {{"bos", 256}, {"eos", 257}};
  bool with_types = true;

  SyntheticVocabulary() {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      add(to_alphabet({&c, 1}), 1);
    }
    add("<|im_start|>", 3);  // 256
    add("<|im_end|>", 3);    // 257
    add("<tool>", 4);        // 258
    add("<tool>call", 4);    // 259
    for (const auto& [left, right] :
         std::vector<std::pair<std::string, std::string>>{{"h", "e"},
                                                          {"l", "l"},
                                                          {"he", "ll"},
                                                          {"hell", "o"},
                                                          {" ", "hello"},
                                                          {" ", " "},
                                                          {"  ", "  "},
                                                          {"a", "a"},
                                                          {"aa", "aa"},
                                                          {"\xC3", "\xA9"},
                                                          {"\xF0", "\x9F"},
                                                          {"1", "2"},
                                                          {"'", "s"},
                                                          {"\xFF", "\xFF"}})
      merge(left, right);
  }

  void add(const std::string& text, std::int32_t type) {
    tokens.push_back(text);
    types.push_back(type);
  }
  void merge(const std::string& left, const std::string& right) {
    merges.push_back(to_alphabet(left) + " " + to_alphabet(right));
    add(to_alphabet(left + right), 1);
  }

  std::string gguf() const {
    GgufWriter out;
    out.header(0, 4 + (with_types ? 1 : 0) + ids.size());
    out.key_text("tokenizer.ggml.model", model).key_text("tokenizer.ggml.pre", pre);
    out.key_texts("tokenizer.ggml.tokens", tokens).key_texts("tokenizer.ggml.merges", merges);
    if (with_types) {
      out.key_array("tokenizer.ggml.token_type", kI32, types.size());
      for (const std::int32_t type : types) out.raw(type);
    }
    for (const auto& [name, id] : ids) out.key("tokenizer.ggml." + name + "_token_id", kU32, id);
    return out.bytes();
  }

  Result<Tokenizer> build() const {
    const std::string bytes = gguf();
    TENON_ASSIGN(const GgufFile file, GgufWriter::parse_bytes(bytes));
    return Tokenizer::from_gguf(file);
  }
};

}  // namespace tenon
