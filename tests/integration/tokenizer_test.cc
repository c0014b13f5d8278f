// The tokenizers of the real SmolLM2 and Gemma files, and the chat template of the first, against
// what the references made of the same texts (tokenizer_golden.py).
#include "core/format/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <sstream>

#include "core/format/chat_template.h"
#include "core/format/utf8.h"
#include "tests/integration/test_model.h"

namespace tenon {
namespace {

struct Subject {
  const char* name;
  std::optional<std::string> (*path)();
  const char* missing;
};

constexpr Subject kSubjects[] = {{"smollm2", &test_model_path, kNoTestModel},
                                 {"gemma", &test_gemma_path, kNoGemma}};

struct Golden {
  std::string text;
  std::vector<std::int32_t> ids;
};

std::vector<Golden> read_golden(const std::string& name) {
  std::vector<Golden> out;
  std::ifstream file(TENON_SOURCE_DIR "/tests/fixtures/tokenizer/" + name + ".golden");
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    Golden golden;
    for (std::size_t i = 0; i + 1 < space; i += 2)
      golden.text += static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16));
    std::istringstream ids(line.substr(space + 1));
    for (std::string id; std::getline(ids, id, ',');) golden.ids.push_back(std::stoi(id));
    out.push_back(std::move(golden));
  }
  return out;
}

class RealTokenizer : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    const std::optional<std::string> path = GetParam().path();
    if (!path) GTEST_SKIP() << GetParam().missing;
    Result<GgufFile> file = GgufFile::open(*path);
    ASSERT_TRUE(file.ok()) << file.error().to_string();
    file_.emplace(std::move(file).value());
    Result<Tokenizer> tokenizer = Tokenizer::from_gguf(*file_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().to_string();
    tokenizer_.emplace(std::move(tokenizer).value());
    golden_ = read_golden(GetParam().name);
    ASSERT_GE(golden_.size(), 5000u);
  }

  // What comes back of a text: the bytes that this vocabulary has tokens for (others are left out
  // of an encoding), spaces for the marks that SentencePiece takes for spaces.
  std::string representable(std::string_view text) const {
    if (tokenizer_->is_sentence_piece()) return utf8_unmark_spaces(text);
    std::string out;
    for (const char c : text)
      if (tokenizer_->has_byte(static_cast<unsigned char>(c))) out += c;
    return out;
  }

  std::optional<GgufFile> file_;
  std::optional<Tokenizer> tokenizer_;
  std::vector<Golden> golden_;
};

std::string name_of(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Models, RealTokenizer, testing::ValuesIn(kSubjects), name_of);

TEST_P(RealTokenizer, EqualsTheReferenceOnEveryText) {
  std::size_t different = 0;
  for (const Golden& entry : golden_) {
    if (tokenizer_->encode(entry.text, true) == entry.ids) continue;
    if (++different <= 5)
      ADD_FAILURE() << testing::PrintToString(entry.text) << " gives "
                    << testing::PrintToString(tokenizer_->encode(entry.text, true)) << ", not "
                    << testing::PrintToString(entry.ids);
  }
  EXPECT_EQ(different, 0u) << "of " << golden_.size();
}

TEST_P(RealTokenizer, GivesBackEveryText) {
  for (const Golden& entry : golden_)
    for (const bool parse_special : {false, true})
      ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(entry.text, parse_special), true),
                representable(entry.text));
}

TEST_P(RealTokenizer, GivesBackBrokenUtf8) {
  std::mt19937 random(7);
  for (std::size_t i = 0; i < 3000; ++i) {
    std::string text = golden_[random() % golden_.size()].text;
    for (int change = 0; change < 3 && !text.empty(); ++change)
      text[random() % text.size()] = static_cast<char>(random());
    text.resize(text.size() - random() % (text.size() + 1) / 4);
    ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(text, true), true), representable(text));
  }
}

TEST_P(RealTokenizer, StreamsWhatItDecodes) {
  for (const Golden& entry : golden_) {
    StreamDecoder decoder(*tokenizer_, true);
    std::string out;
    for (const std::int32_t id : entry.ids) out += decoder.push(id);
    out += decoder.finish();
    ASSERT_EQ(out, tokenizer_->decode(entry.ids, true));
  }
}

TEST_P(RealTokenizer, KnowsItsTokensAndTemplate) {
  if (GetParam().name == std::string("gemma")) {
    EXPECT_EQ(tokenizer_->vocabulary_size(), 262144);
    EXPECT_EQ(tokenizer_->bos(), 2);
    EXPECT_EQ(tokenizer_->eos(), 1);
    EXPECT_EQ(tokenizer_->unknown(), 3);
    EXPECT_TRUE(tokenizer_->add_bos());
    EXPECT_FALSE(tokenizer_->add_eos() || tokenizer_->add_space_prefix());
    EXPECT_TRUE(tokenizer_->covers_all_bytes());
    EXPECT_EQ(tokenizer_->find_token("<end_of_turn>"), 106);
    return;
  }
  EXPECT_EQ(tokenizer_->vocabulary_size(), 49152);
  EXPECT_EQ(tokenizer_->bos(), 1);
  EXPECT_EQ(tokenizer_->eos(), 2);
  EXPECT_FALSE(tokenizer_->add_bos());
  EXPECT_EQ(tokenizer_->find_token("<|im_end|>"), 2);
  const Result<std::string_view> source = file_->get_string("tokenizer.chat_template");
  ASSERT_TRUE(source.ok());
  const Result<ChatTemplate> parsed = ChatTemplate::parse(*source);
  ASSERT_TRUE(parsed.ok()) << parsed.error().to_string();
  const std::vector<ChatMessage> messages = {{"user", "What is 2+2?"}};
  EXPECT_EQ(*parsed->render(messages, true, "<|im_start|>", "<|im_end|>"),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n");
}

// The vocabularies of llama.cpp's tree with its own expected ids: NAME.gguf, .inp and .out.
TEST(Vocabularies, EqualTheIdsThatLlamaCppKeeps) {
  const char* folder = std::getenv("TENON_TEST_VOCABULARIES");
  if (folder == nullptr) GTEST_SKIP() << "TENON_TEST_VOCABULARIES: llama.cpp's models folder";
  for (const std::string name : {"llama-spm", "phi-3"}) {
    const std::string path = std::string(folder) + "/ggml-vocab-" + name + ".gguf";
    const Result<GgufFile> file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().to_string();
    const Result<Tokenizer> tokenizer = Tokenizer::from_gguf(*file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().to_string();
    std::ifstream in(path + ".inp", std::ios::binary), out(path + ".out");
    const std::string texts((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const std::string mark = "\n__ggml_vocab_test__\n";
    std::size_t count = 0, at = 0;
    for (std::string line; std::getline(out, line); ++count) {
      const std::size_t end = std::min(texts.find(mark, at), texts.size());
      const std::string text = texts.substr(at, end - at);
      at = std::min(end + mark.size(), texts.size());
      std::istringstream numbers(line);
      const std::vector<std::int32_t> want((std::istream_iterator<std::int32_t>(numbers)), {});
      EXPECT_EQ(tokenizer->encode(text, false), want) << name << ": " << text;
      EXPECT_EQ(tokenizer->decode(want, false), text) << name;
    }
    EXPECT_EQ(count, 46u) << name;
  }
}

}  // namespace
}  // namespace tenon
