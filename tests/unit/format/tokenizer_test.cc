#include "core/format/tokenizer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/conform/synthetic_vocabulary.h"

namespace tenon {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = SyntheticVocabulary().build().value();
  return kTokenizer;
}

// The tokens of `text`, as the bytes of each.
std::vector<std::string> pieces(const Tokenizer& from, std::string_view text,
                                bool parse_special = false) {
  std::vector<std::string> out;
  for (const std::int32_t id : from.encode(text, parse_special))
    out.emplace_back(from.token_bytes(id));
  return out;
}

using Pieces = std::vector<std::string>;

TEST(Tokenizer, MergesByRank) {
  EXPECT_EQ(pieces(tokenizer(), "hello hello"), (Pieces{"hello", " hello"}));
  EXPECT_EQ(pieces(tokenizer(), "hel lo"), (Pieces{"he", "l", " ", "l", "o"}));
  EXPECT_EQ(pieces(tokenizer(), "aaaaaaa"), (Pieces{"aaaa", "aa", "a"}));
  EXPECT_EQ(pieces(tokenizer(), "\xC3\xA9"), (Pieces{"\xC3\xA9"}));
}

TEST(Tokenizer, PretokenizerKeepsPiecesApart) {
  EXPECT_EQ(pieces(tokenizer(), "12"), (Pieces{"1", "2"}));  // smollm: each digit alone
  EXPECT_EQ(pieces(tokenizer(), "a's"), (Pieces{"a", "'s"}));
  EXPECT_EQ(pieces(tokenizer(), "     hello"), (Pieces{"    ", " hello"}));
  SyntheticVocabulary other;
  other.pre = "gpt-2";
  EXPECT_EQ(pieces(other.build().value(), "12"), (Pieces{"12"}));
}

TEST(Tokenizer, WholeWordsNeedNoMerges) {
  SyntheticVocabulary vocabulary;
  vocabulary.pre = "llama-bpe";
  vocabulary.add("world", 1);
  EXPECT_EQ(pieces(vocabulary.build().value(), "world"), (Pieces{"world"}));
  vocabulary.pre = "qwen2";
  EXPECT_EQ(pieces(vocabulary.build().value(), "world").size(), 5u);
}

TEST(Tokenizer, ControlTokensOnlyOnRequest) {
  const std::string text = "<|im_start|>he<|im_end|>";
  EXPECT_EQ(pieces(tokenizer(), text, true), (Pieces{"<|im_start|>", "he", "<|im_end|>"}));
  for (const std::int32_t id : tokenizer().encode(text, false))
    EXPECT_FALSE(tokenizer().is_control(id));
  EXPECT_EQ(tokenizer().decode(tokenizer().encode(text, false), false), text);
  EXPECT_EQ(tokenizer().decode(tokenizer().encode(text, true), false), "he");
  EXPECT_EQ(tokenizer().decode(tokenizer().encode(text, true), true), text);
}

TEST(Tokenizer, UserDefinedTokensAreMatchedLongestFirst) {
  EXPECT_EQ(pieces(tokenizer(), "<tool>call<tool>"), (Pieces{"<tool>call", "<tool>"}));
  EXPECT_EQ(pieces(tokenizer(), "<tool>cal")[0], "<tool>");
  EXPECT_EQ(pieces(tokenizer(), "<tool")[0], "<");
  EXPECT_EQ(tokenizer().decode(tokenizer().encode("x<tool>y", false), false), "x<tool>y");
}

TEST(Tokenizer, NamedIdsAndLookup) {
  EXPECT_EQ(tokenizer().bos(), 256);
  EXPECT_EQ(tokenizer().eos(), 257);
  EXPECT_EQ(tokenizer().eot(), std::nullopt);
  EXPECT_FALSE(tokenizer().add_bos());
  EXPECT_TRUE(tokenizer().covers_all_bytes());
  EXPECT_EQ(tokenizer().find_token("<|im_end|>"), 257);
  EXPECT_EQ(tokenizer().token_bytes(*tokenizer().find_token(" hello")), " hello");
  EXPECT_EQ(tokenizer().find_token("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer().token_bytes(-1), "");
  EXPECT_EQ(tokenizer().token_bytes(1 << 30), "");
  EXPECT_TRUE(tokenizer().encode("", true).empty());
}

TEST(Tokenizer, EosSpelledByAStrangerIsText) {
  SyntheticVocabulary vocabulary;
  vocabulary.types[257] = 4;  // a file that calls its end-of-turn user-defined
  const Tokenizer built = vocabulary.build().value();
  EXPECT_NE(built.encode("<|im_end|>", false), (std::vector<std::int32_t>{257}));
  EXPECT_EQ(built.encode("<|im_end|>", true), (std::vector<std::int32_t>{257}));
}

TEST(Tokenizer, MissingBytesAreLeftOut) {
  SyntheticVocabulary vocabulary;
  vocabulary.tokens[4] = "\xE4\xB8\x80";  // 0x04 has no token, as in real vocabularies
  const Tokenizer built = vocabulary.build().value();
  EXPECT_FALSE(built.covers_all_bytes());
  EXPECT_FALSE(built.has_byte(4));
  EXPECT_EQ(pieces(built, "h\x04\x65"), (Pieces{"h", "e"}));
  EXPECT_EQ(pieces(built, "\xFF\x04\xFF"), (Pieces{"\xFF", "\xFF"}));
}

TEST(Tokenizer, IdentityFollowsWhatChangesTokens) {
  const Hash128 base = tokenizer().identity();
  EXPECT_EQ(SyntheticVocabulary().build()->identity(), base);
  SyntheticVocabulary pre, type, merge, token;
  pre.pre = "gpt-2";
  type.types[258] = 1;
  std::swap(merge.merges[0], merge.merges[1]);
  token.add("zz", 1);
  for (const SyntheticVocabulary& other : {pre, type, merge, token})
    EXPECT_NE(other.build()->identity(), base);
}

TEST(Tokenizer, RoundTripOnAnyBytes) {
  EXPECT_TRUE(rc::check("decode(encode(bytes)) == bytes", [](const std::string& bytes) {
    RC_ASSERT(tokenizer().decode(tokenizer().encode(bytes, false), true) == bytes);
    RC_ASSERT(tokenizer().decode(tokenizer().encode(bytes, true), true) == bytes);
  }));
}

std::string random_unicode() {
  std::string out;
  const auto codes = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::oneOf(
      rc::gen::inRange<std::uint32_t>(0, 0x80), rc::gen::inRange<std::uint32_t>(0x80, 0xD800),
      rc::gen::inRange<std::uint32_t>(0xE000, 0x110000)));
  for (const std::uint32_t code : codes) utf8_append(out, code);
  return out;
}

TEST(Tokenizer, RoundTripOnUnicodeForEveryRule) {
  for (const std::string& name : pretokenizer_names()) {
    SyntheticVocabulary vocabulary;
    vocabulary.pre = name;
    const Tokenizer built = vocabulary.build().value();
    EXPECT_TRUE(rc::check("round trip with " + name, [&] {
      const std::string text = random_unicode();
      RC_ASSERT(built.decode(built.encode(text, false), true) == text);
    }));
  }
}

TEST(StreamDecoder, EqualsTheWholeAtEverySplit) {
  EXPECT_TRUE(rc::check("streamed text is the whole text, a character at a time", [] {
    const std::string text =
        *rc::gen::arbitrary<bool>() ? random_unicode() : *rc::gen::arbitrary<std::string>();
    const std::vector<std::int32_t> ids = tokenizer().encode(text, false);
    const bool valid = is_utf8(text);
    StreamDecoder decoder(tokenizer());
    std::string out;
    for (const std::int32_t id : ids) {
      const std::string part = decoder.push(id);
      if (valid) RC_ASSERT(is_utf8(part));
      out += part;
    }
    out += decoder.finish();
    RC_ASSERT(out == text);
  }));
}

TEST(StreamDecoder, HoldsBackUnfinishedCharacters) {
  StreamDecoder decoder(tokenizer());
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "\xF0\x9F\x98\x80");
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.push('a'),
            "\xC3"
            "a");  // it could not be completed
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.finish(), "\xE2");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, ReplacesInvalidBytesOnRequest) {
  StreamDecoder decoder(tokenizer(), false, StreamDecoder::Invalid::kReplace);
  EXPECT_EQ(decoder.push(0xFF), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push(257), "");  // a control token shows nothing
  EXPECT_EQ(decoder.finish(), "\xEF\xBF\xBD");
  StreamDecoder with_special(tokenizer(), true);
  EXPECT_EQ(with_special.push(257), "<|im_end|>");
}

TEST(TokenizerBad, EachHasItsId) {
  SyntheticVocabulary model, pre, none, types, kind, merge, halves, id, bos;
  model.model = "bert";
  pre.pre = "smolm";
  none.tokens.clear();
  types.types.pop_back();
  kind.types[3] = 9;
  merge.merges.push_back("q z");
  halves.merges.push_back("qz");
  id.ids = {{"eos", 1u << 20}};
  bos.pre = "llama-bpe";  // adds a BOS by default
  bos.ids.clear();
  const std::vector<std::pair<const SyntheticVocabulary*, std::string>> cases = {
      {&model, "TENON-F030"},  {&pre, "TENON-F031"},  {&none, "TENON-F032"},
      {&types, "TENON-F033"},  {&kind, "TENON-F033"}, {&merge, "TENON-F035"},
      {&halves, "TENON-F035"}, {&id, "TENON-F036"},   {&bos, "TENON-F036"}};
  for (const auto& [vocabulary, expected] : cases) {
    const Result<Tokenizer> result = vocabulary->build();
    ASSERT_FALSE(result.ok()) << expected;
    EXPECT_EQ(result.error().id, expected) << result.error().to_string();
  }
  EXPECT_NE(pre.build().error().fix.find("smollm"), std::string::npos);
  EXPECT_NE(model.build().error().found.find("bert"), std::string::npos);
}

}  // namespace
}  // namespace tenon
