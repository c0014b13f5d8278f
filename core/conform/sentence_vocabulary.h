// A SentencePiece vocabulary small enough to write out.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "core/conform/gguf_writer.h"
#include "core/format/tokenizer.h"

namespace tenon {

struct SentenceVocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  std::vector<std::pair<std::string, std::uint32_t>> ids;
  std::vector<std::pair<std::string, bool>> flags = {{"add_space_prefix", false}};
  bool with_types = true, with_scores = true;

  // Ids 0 to 2 are <unk>, <s>, </s>; 3 to 258 the bytes; then characters and what they merge to.
  SentenceVocabulary() {
    add("<unk>", 2, 0);
    add("<s>", 3, 0);
    add("</s>", 3, 0);
    for (int byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", byte);
      add(text, 6, 0);
    }
    const char* const merged[] = {"he", "ll",      "hell",   "hello", "\u2581hello",
                                  "lo", "\u2581w", "aa",     "aaaa",  "\u2581\u2581",
                                  "<s", "<s>x",    "\u00e9t"};
    float score = 0;
    for (const char* text : merged) add(text, 1, --score);
    const char* const single[] = {"\u2581", "h", "e", "l", "o", "w",
                                  "a",      "<", "s", ">", "x", "\u00e9"};
    for (const char* text : single) add(text, 1, --score);
    add("\n\n", 4, -1000);
    add("   ", 4, -1000);
    add("<tool>", 4, -1000);
  }

  void add(const std::string& text, std::int32_t type, float score) {
    tokens.push_back(text);
    types.push_back(type);
    scores.push_back(score);
  }

  std::string gguf() const {
    GgufWriter out;
    out.header(0, 2 + (with_types ? 1 : 0) + (with_scores ? 1 : 0) + ids.size() + flags.size());
    out.key_text("tokenizer.ggml.model", "llama").key_texts("tokenizer.ggml.tokens", tokens);
    if (with_types) {
      out.key_array("tokenizer.ggml.token_type", kI32, types.size());
      for (const std::int32_t type : types) out.raw(type);
    }
    if (with_scores) {
      out.key_array("tokenizer.ggml.scores", kF32, scores.size());
      for (const float score : scores) out.raw(score);
    }
    for (const auto& [name, id] : ids) out.key("tokenizer.ggml." + name + "_token_id", kU32, id);
    for (const auto& [name, value] : flags)
      out.key("tokenizer.ggml." + name, kBool, static_cast<std::uint8_t>(value));
    return out.bytes();
  }

  Result<Tokenizer> build() const {
    const std::string bytes = gguf();
    TENON_ASSIGN(const GgufFile file, GgufWriter::parse_bytes(bytes));
    return Tokenizer::from_gguf(file);
  }
};

}  // namespace tenon
