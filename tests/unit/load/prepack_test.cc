// Engines with and without a file of packed weights: the same bits, whatever happened to the file.
#include "core/load/prepack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/hash.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"
#include "tests/fixtures/file_bytes.h"

namespace fs = std::filesystem;

namespace tenon {
namespace {

constexpr const char* kBackend = "tenon.backend.cpu";

struct Outcome {
  Answer answer;
  std::string file;  // that the weights came from
};

Outcome run(const std::string& model, const PrepackOptions& options, int ranks = 1) {
  Outcome out;
  EngineChoice choice;
  choice.ranks = ranks;
  const auto engine = load_engine(choice, model, options);
  EXPECT_TRUE(engine.ok()) << engine.error().to_string();
  if (!engine.ok()) return out;
  out.file = (*engine)->packed_file();
  RequestSpec spec;
  for (std::int32_t i = 0; i < 70; ++i) spec.prompt.push_back(i * 7 % 250);
  spec.max_tokens = 6;
  spec.ignore_eos = true;
  spec.prompt_logprobs = true;
  EXPECT_TRUE(submit_into(**engine, std::move(spec), out.answer).ok());
  const Status ran = (*engine)->engine().run();
  EXPECT_TRUE(ran.ok()) << ran.error().to_string();
  EXPECT_EQ(out.answer.tokens.size(), 6u);
  return out;
}

// The files beside a model.
std::vector<std::string> files_of(const std::string& model) {
  std::vector<std::string> out;
  for (const auto& each : fs::directory_iterator(fs::path(model).parent_path()))
    if (each.path().string().starts_with(model + ".")) out.push_back(each.path().string());
  return out;
}

TEST(Prepack, GivesTheSameBitsForEveryType) {
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ4_0,
                              GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0,
                              GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    const std::string name(ggml_type_info(type).name);
    const std::string model = TinyModel::gemma().store_down_as(type).save("prepack-" + name);
    const Outcome plain = run(model, {});
    EXPECT_TRUE(files_of(model).empty()) << name;
    const Outcome first = run(model, {true, {}}), second = run(model, {true, {}});
    EXPECT_EQ(first.file, "") << name;
    ASSERT_EQ(files_of(model).size(), 1u) << name;
    EXPECT_EQ(second.file, files_of(model)[0]) << name;
    EXPECT_EQ(first.answer, plain.answer) << name;
    EXPECT_EQ(second.answer, plain.answer) << name;
  }
}

TEST(Prepack, ABackendThatDoesNotPackLeavesNoFile) {
  const std::string model = TinyModel().save("prepack-reference");
  EngineChoice choice;
  choice.backend = "contract";
  const auto engine = load_engine(choice, model, {true, {}});
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  EXPECT_TRUE(files_of(model).empty());
}

TEST(Prepack, EachRankHasAFile) {
  const std::string model = TinyModel().save("prepack-ranks");
  const Outcome first = run(model, {true, {}}, 3), second = run(model, {true, {}}, 3);
  EXPECT_EQ(files_of(model).size(), 3u);
  EXPECT_NE(second.file.find(".0-of-3."), std::string::npos) << second.file;
  EXPECT_EQ(second.answer, first.answer);
  const Outcome alone = run(model, {true, {}});
  EXPECT_EQ(alone.file, "");
  EXPECT_EQ(files_of(model).size(), 4u);
}

TEST(Prepack, ADamagedFileIsMadeAnew) {
  const std::string model = TinyModel().save("prepack-damaged");
  const Outcome good = run(model, {true, {}});
  const std::string path = files_of(model).at(0), whole = bytes_of(path);
  std::string flipped = whole;
  flipped[flipped.size() / 2] ^= 1;
  for (const std::string& bytes : {std::string(), std::string("not a file of packed weights"),
                                   whole.substr(0, 5000), flipped}) {
    write_bytes(path, bytes);
    const Outcome damaged = run(model, {true, {}});
    EXPECT_EQ(damaged.file, "");
    EXPECT_EQ(damaged.answer, good.answer);
    EXPECT_EQ(bytes_of(path), whole);
  }
  EXPECT_EQ(run(model, {true, {}}).file, path);
}

// Another model of the same shape: sizes and names are equal, only the tensors' bytes differ.
TEST(Prepack, AnotherModelsFileIsNotUsed) {
  const std::string one = TinyModel(1).save("prepack-one"), two = TinyModel(2).save("prepack-two");
  run(one, {true, {}});
  const Outcome plain = run(two, {});
  const std::string theirs = files_of(one).at(0);
  const std::string ours = two + theirs.substr(one.size());
  fs::copy_file(theirs, ours);
  const Outcome got = run(two, {true, {}});
  EXPECT_EQ(got.file, "");
  EXPECT_EQ(got.answer, plain.answer);
  EXPECT_EQ(run(two, {true, {}}).file, ours);
}

// An engine whose codecs or packed form were others, under the same names: what a few sample rows
// come out as is part of the key.
TEST(Prepack, AFormThatChangedUnderItsNameIsFoundOut) {
  const std::string model = TinyModel().save("prepack-form");
  const Outcome good = run(model, {true, {}});
  const std::string path = files_of(model).at(0), whole = bytes_of(path);
  std::string changed = whole;
  const std::size_t sample = changed.find("\npacked Q8_0 ");
  ASSERT_NE(sample, std::string::npos);
  char& digit = changed[sample + 14];
  digit = digit == '0' ? '1' : '0';
  // The head's checksum is made good: packed_file.cc says where it is, and where the payload
  // begins.
  std::uint64_t payload = 0;
  std::memcpy(&payload, changed.data() + 24, sizeof payload);
  std::memset(changed.data() + 104, 0, 8);
  const std::uint64_t sum = checksum(std::as_bytes(std::span(changed)).first(payload));
  std::memcpy(changed.data() + 104, &sum, sizeof sum);
  write_bytes(path, changed);
  const Outcome got = run(model, {true, {}});
  EXPECT_EQ(got.file, "");
  EXPECT_EQ(got.answer, good.answer);
  EXPECT_EQ(bytes_of(path), whole);
}

// A folder in the way of the file is a place that cannot be written, for any user.
TEST(Prepack, WhereTheModelsFolderCannotBeWrittenAnotherIsUsed) {
  const std::string model = TinyModel().save("prepack-other"), other = model + ".cache/packed";
  const auto paths = packed_paths(model, {kBackend, 0, 1}, "x/1", other);
  ASSERT_EQ(paths.size(), 2u);
  EXPECT_EQ(paths[0], model + ".tenon.backend.cpu.x-1.packed");
  run(model, {true, {}});
  const std::string path = files_of(model).at(0);
  fs::remove(path);
  fs::create_directory(path + ".part");
  const Outcome first = run(model, {true, other}), second = run(model, {true, other});
  EXPECT_EQ(first.file, "");
  EXPECT_TRUE(second.file.starts_with(other + "/")) << second.file;
  EXPECT_EQ(second.answer, first.answer);
  // Neither can be written.
  fs::rename(second.file, second.file + ".part");
  fs::remove(second.file + ".part");
  fs::create_directory(second.file + ".part");
  const Outcome neither = run(model, {true, other});
  EXPECT_EQ(neither.file, "");
  EXPECT_EQ(neither.answer, first.answer);
}

}  // namespace
}  // namespace tenon
