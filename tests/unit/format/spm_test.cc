#include "core/format/spm.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "core/conform/sentence_vocabulary.h"
#include "core/format/utf8.h"

namespace tenon {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces(const Tokenizer& from, std::string_view text, bool parse_special = false) {
  Pieces out;
  for (const std::int32_t id : from.encode(text, parse_special))
    out.emplace_back(from.token_bytes(id));
  return out;
}

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = SentenceVocabulary().build().value();
  return kTokenizer;
}

const Tokenizer& with_prefix() {
  static const Tokenizer kTokenizer = [] {
    SentenceVocabulary vocabulary;
    vocabulary.flags.clear();  // the default
    return vocabulary.build().value();
  }();
  return kTokenizer;
}

TEST(Spm, TheHighestScoreMergesFirst) {
  EXPECT_EQ(pieces(tokenizer(), "hello"), (Pieces{"hello"}));
  EXPECT_EQ(pieces(tokenizer(), "a hello"), (Pieces{"a", " hello"}));
  EXPECT_EQ(pieces(tokenizer(), "lo"), (Pieces{"lo"}));
  EXPECT_EQ(pieces(tokenizer(), "llo"), (Pieces{"ll", "o"}));  // ll before lo
  EXPECT_EQ(pieces(tokenizer(), "\u00e9\u00e9"), (Pieces{"\u00e9", "\u00e9"}));
}

TEST(Spm, TheLeftmostOfEqualsMergesFirst) {
  EXPECT_EQ(pieces(tokenizer(), "aaa"), (Pieces{"aa", "a"}));
  EXPECT_EQ(pieces(tokenizer(), "aaaaaaa"), (Pieces{"aaaa", "aa", "a"}));
}

TEST(Spm, UnknownCharactersAreBytes) {
  EXPECT_EQ(pieces(tokenizer(), "h\u4e2d"), (Pieces{"h", "\xE4", "\xB8", "\xAD"}));
  EXPECT_EQ(tokenizer().encode("z", false), (std::vector<std::int32_t>{3 + 'z'}));
  EXPECT_EQ(pieces(tokenizer(), "\xE4h\xFF"), (Pieces{"\xE4", "h", "\xFF"}));
  // Two characters that are no tokens, whose sum is: "t" is unknown here.
  EXPECT_EQ(pieces(tokenizer(), "\u00e9t"), (Pieces{"\u00e9t"}));
}

TEST(Spm, SpaceAndItsMarkAreOneCharacter) {
  EXPECT_EQ(tokenizer().encode("a\u2581w", false), tokenizer().encode("a w", false));
  EXPECT_EQ(pieces(tokenizer(), "a  a"), (Pieces{"a", "  ", "a"}));
  EXPECT_EQ(tokenizer().decode(tokenizer().encode(" \u2581", false), false), "  ");
}

TEST(Spm, UserDefinedTokensComeFirst) {
  EXPECT_EQ(pieces(tokenizer(), "a\n\n\na"), (Pieces{"a", "\n\n", "\n", "a"}));
  EXPECT_EQ(pieces(tokenizer(), "    w"), (Pieces{"   ", " w"}));
  EXPECT_EQ(pieces(tokenizer(), "he<tool>llo"), (Pieces{"he", "<tool>", "ll", "o"}));
}

TEST(Spm, ControlTokensOnlyOnRequestAndNeverByMerging) {
  EXPECT_EQ(tokenizer().encode("<s>", true), (std::vector<std::int32_t>{1}));
  // "<s" and ">" are tokens and "<s>" has the highest score of all.
  EXPECT_EQ(pieces(tokenizer(), "<s>"), (Pieces{"<s", ">"}));
  for (const std::int32_t id : tokenizer().encode("<s></s><unk><0x41>", false)) {
    EXPECT_FALSE(tokenizer().is_control(id));
    EXPECT_NE(tokenizer().token_bytes(id), "A");
  }
}

TEST(Spm, DefaultsAreThoseOfTheFormat) {
  EXPECT_EQ(with_prefix().bos(), 1);
  EXPECT_EQ(with_prefix().eos(), 2);
  EXPECT_EQ(with_prefix().unknown(), 0);
  EXPECT_TRUE(with_prefix().add_bos());
  EXPECT_FALSE(with_prefix().add_eos());
  EXPECT_TRUE(with_prefix().add_space_prefix());
  SentenceVocabulary stated;
  stated.ids = {{"bos", 2}, {"eos", 1}, {"unknown", 0}};
  stated.flags = {{"add_bos_token", false}, {"add_eos_token", true}, {"add_space_prefix", false}};
  const Tokenizer built = stated.build().value();
  EXPECT_EQ(built.bos(), 2);
  EXPECT_EQ(built.eos(), 1);
  EXPECT_FALSE(built.add_bos() || built.add_space_prefix());
  EXPECT_TRUE(built.add_eos());
}

TEST(Spm, ASpaceGoesBeforeTextAndComesOffAgain) {
  EXPECT_EQ(pieces(with_prefix(), "hello"), (Pieces{" hello"}));
  EXPECT_EQ(pieces(with_prefix(), " hello"), (Pieces{" ", " hello"}));
  EXPECT_TRUE(with_prefix().encode("", true).empty());
  for (const std::string text : {"hello", " hello", "  ", "x\n\n", "\u4e2d"})
    EXPECT_EQ(with_prefix().decode(with_prefix().encode(text, false), false), text);
  // After a special token too, where decoding keeps it.
  EXPECT_EQ(pieces(with_prefix(), "<s>hello", true), (Pieces{"<s>", " hello"}));
  EXPECT_EQ(with_prefix().decode(with_prefix().encode("<s>hello", true), false), "hello");
  EXPECT_EQ(with_prefix().decode(with_prefix().encode("<s>hello", true), true), "<s>hello");
  EXPECT_EQ(with_prefix().decode(with_prefix().encode("<tool>hello", true), true), "<tool> hello");
}

TEST(Spm, AStreamKeepsItsFirstSpaceUnlessItIsAWholeText) {
  const std::vector<std::int32_t> ids = with_prefix().encode("hello", false);
  StreamDecoder continued(with_prefix());
  EXPECT_EQ(continued.push(ids[0]), " hello");
  StreamDecoder whole(with_prefix(), false, StreamDecoder::Invalid::kKeep, true);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(whole.push(ids[0]), "hello");
    EXPECT_EQ(whole.push(ids[0]), " hello");
    EXPECT_EQ(whole.finish(), "");
  }
}

TEST(Spm, BytesOfACharacterAreShownTogether) {
  StreamDecoder decoder(tokenizer());
  EXPECT_EQ(decoder.push(3 + 0xE4), "");
  EXPECT_EQ(decoder.push(3 + 0xB8), "");
  EXPECT_EQ(decoder.push(3 + 0xAD), "\u4e2d");
}

TEST(Spm, WithoutByteTokensUnknownCharactersAreTheUnknownToken) {
  SentenceVocabulary vocabulary;
  for (std::size_t i = 3; i < 259; ++i) vocabulary.types[i] = 1;  // now mere texts
  const Tokenizer built = vocabulary.build().value();
  EXPECT_FALSE(built.covers_all_bytes());
  EXPECT_EQ(built.encode("z", false), (std::vector<std::int32_t>{0}));
  EXPECT_EQ(built.encode("h\u4e2d", false).size(), 2u);
  vocabulary.types[0] = 3;
  const Result<Tokenizer> none = vocabulary.build();
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().id, "TENON-F049");
}

TEST(Spm, IdentityFollowsWhatChangesTokens) {
  const Hash128 base = tokenizer().identity();
  EXPECT_EQ(SentenceVocabulary().build()->identity(), base);
  SentenceVocabulary score, type, token, prefix;
  score.scores[260] -= 100;
  type.types.back() = 1;
  token.add("zz", 1, -3);
  prefix.flags.clear();
  for (const SentenceVocabulary& other : {score, type, token, prefix})
    EXPECT_NE(other.build()->identity(), base);
}

TEST(Spm, RoundTripOnAnyBytes) {
  EXPECT_TRUE(rc::check("decode(encode(bytes)) is the bytes, marks as spaces", [] {
    const std::string bytes = *rc::gen::container<std::string>(
        rc::gen::oneOf(rc::gen::element('h', 'e', 'l', 'o', ' ', 'a', '<', 's', '>', 'x', '\n'),
                       rc::gen::element('\xE2', '\x96', '\x81'), rc::gen::arbitrary<char>()));
    for (const bool parse_special : {false, true})
      RC_ASSERT(tokenizer().decode(tokenizer().encode(bytes, parse_special), true) ==
                utf8_unmark_spaces(bytes));
  }));
}

// Merging by the rule, as slowly as it can be said.
std::vector<std::string> merged_slowly(const Tokenizer& from, const SentenceVocabulary& vocabulary,
                                       const std::string& text) {
  std::vector<std::string> symbols;
  for (const char c : text) symbols.emplace_back(1, c);
  while (true) {
    float best = -std::numeric_limits<float>::infinity();
    std::size_t at = symbols.size();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto id = from.find_token(symbols[i] + symbols[i + 1]);
      if (!id || vocabulary.scores[static_cast<std::size_t>(*id)] <= best) continue;
      best = vocabulary.scores[static_cast<std::size_t>(*id)];
      at = i;
    }
    if (at == symbols.size()) return symbols;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Spm, EqualsTheRuleSaidSlowly) {
  EXPECT_TRUE(rc::check("the queue gives what scanning gives", [] {
    SentenceVocabulary vocabulary;
    const auto texts = *rc::gen::container<std::vector<std::string>>(
        rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::element('a', 'h', 'e'))));
    // Few different scores: ties matter.
    for (const std::string& text : texts)
      vocabulary.add(text, 1, static_cast<float>(-*rc::gen::inRange(1, 4)));
    const Tokenizer built = vocabulary.build().value();
    const std::string text =
        *rc::gen::container<std::string>(rc::gen::element('a', 'h', 'e', 'l', 'o'));
    RC_ASSERT(pieces(built, text) == merged_slowly(built, vocabulary, text));
  }));
}

TEST(Spm, LongTextsTakeNoSquareTime) {
  std::string text;
  while (text.size() < 2'000'000) text += "hello aaaa \u00e9t ll";
  EXPECT_EQ(tokenizer().decode(tokenizer().encode(text, false), false), text);
  EXPECT_EQ(pieces(tokenizer(), std::string(1'000'000, 'a')).size(), 250'000u);
}

TEST(SpmBad, EachHasItsId) {
  SentenceVocabulary scores, few, nan, infinite, types, byte, bos, eos, kind, none;
  scores.with_scores = false;
  few.scores.pop_back();
  nan.scores[7] = std::nanf("");
  infinite.scores[7] = std::numeric_limits<float>::infinity();
  types.with_types = false;
  byte.tokens[40] = "<0x2>";
  bos.ids = {{"bos", 1u << 20}};
  eos.flags = {{"add_eos_token", true}};
  eos.types[2] = 1;
  kind.types[5] = 9;
  none.tokens.clear();
  const std::vector<std::pair<const SentenceVocabulary*, std::string>> cases = {
      {&scores, "TENON-F048"},   {&few, "TENON-F048"},   {&nan, "TENON-F048"},
      {&infinite, "TENON-F048"}, {&types, "TENON-F050"}, {&byte, "TENON-F049"},
      {&bos, "TENON-F036"},      {&eos, "TENON-F036"},   {&kind, "TENON-F033"},
      {&none, "TENON-F032"}};
  for (const auto& [vocabulary, expected] : cases) {
    const Result<Tokenizer> result = vocabulary->build();
    ASSERT_FALSE(result.ok()) << expected;
    EXPECT_EQ(result.error().id, expected) << result.error().to_string();
  }
}

}  // namespace
}  // namespace tenon
