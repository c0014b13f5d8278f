// The tokenizer and chat template of the real SmolLM2 file against what the reference made of the
// same texts (tokenizer_golden.py). TENON_TEST_MODEL names the file; without it these are skipped.
#include "core/format/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include "core/format/chat_template.h"

namespace tenon {
namespace {

class RealTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("TENON_TEST_MODEL");
    if (!path || !std::ifstream(path)) GTEST_SKIP() << "TENON_TEST_MODEL names no file";
    Result<GgufFile> file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().to_string();
    file_.emplace(std::move(file).value());
    Result<Tokenizer> tokenizer = Tokenizer::from_gguf(*file_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().to_string();
    tokenizer_.emplace(std::move(tokenizer).value());
  }

  // The bytes that this vocabulary has tokens for: others are left out of an encoding.
  std::string representable(std::string_view text) const {
    std::string out;
    for (const char c : text)
      if (tokenizer_->has_byte(static_cast<unsigned char>(c))) out += c;
    return out;
  }

  std::optional<GgufFile> file_;
  std::optional<Tokenizer> tokenizer_;
};

struct Golden {
  std::string text;
  std::vector<std::int32_t> ids;
};

std::vector<Golden> read_golden() {
  std::vector<Golden> out;
  std::ifstream file(TENON_SOURCE_DIR "/tests/fixtures/tokenizer/smollm2.golden");
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

TEST_F(RealTokenizer, EqualsTheReferenceOnEveryText) {
  const std::vector<Golden> golden = read_golden();
  ASSERT_GE(golden.size(), 5000u);
  std::size_t different = 0;
  for (const Golden& entry : golden) {
    if (tokenizer_->encode(entry.text, true) == entry.ids) continue;
    if (++different <= 5)
      ADD_FAILURE() << testing::PrintToString(entry.text) << " gives "
                    << testing::PrintToString(tokenizer_->encode(entry.text, true)) << ", not "
                    << testing::PrintToString(entry.ids);
  }
  EXPECT_EQ(different, 0u) << "of " << golden.size();
}

TEST_F(RealTokenizer, GivesBackEveryText) {
  for (const Golden& entry : read_golden())
    for (const bool parse_special : {false, true})
      ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(entry.text, parse_special), true),
                representable(entry.text));
}

TEST_F(RealTokenizer, GivesBackBrokenUtf8) {
  std::mt19937 random(7);
  const std::vector<Golden> golden = read_golden();
  for (std::size_t i = 0; i < 3000; ++i) {
    std::string text = golden[random() % golden.size()].text;
    for (int change = 0; change < 3 && !text.empty(); ++change)
      text[random() % text.size()] = static_cast<char>(random());
    text.resize(text.size() - random() % (text.size() + 1) / 4);
    ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(text, true), true), representable(text));
  }
}

TEST_F(RealTokenizer, StreamsWhatItDecodes) {
  for (const Golden& entry : read_golden()) {
    StreamDecoder decoder(*tokenizer_, true);
    std::string out;
    for (const std::int32_t id : entry.ids) out += decoder.push(id);
    out += decoder.finish();
    ASSERT_EQ(out, tokenizer_->decode(entry.ids, true));
  }
}

TEST_F(RealTokenizer, KnowsItsTokensAndTemplate) {
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

}  // namespace
}  // namespace tenon
