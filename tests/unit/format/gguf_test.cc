#include "core/format/gguf.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "core/conform/gguf_writer.h"

namespace tenon {
namespace {

TEST(Gguf, ReadsMetadataOfEveryKind) {
  const GgufWriter writer = sample_gguf();
  const Result<GgufFile> file = writer.parse();
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->metadata().size(), 9u);
  EXPECT_EQ(file->metadata()[0].first, "a.u8");
  EXPECT_EQ(*file->get_uint("a.u8"), 200u);
  EXPECT_EQ(file->find("a.i16")->i, -5);
  EXPECT_EQ(*file->get_uint("a.u64"), std::uint64_t{1} << 40);
  EXPECT_EQ(*file->get_float("a.f32"), 0.5);
  EXPECT_EQ(*file->get_float("a.f64"), 0.25);
  EXPECT_TRUE(*file->get_bool("a.bool"));
  EXPECT_EQ(*file->get_string("a.text"), "hello");
  const Result<std::span<const std::string_view>> texts = file->get_strings("a.texts");
  ASSERT_TRUE(texts.ok());
  EXPECT_EQ(std::vector<std::string_view>(texts->begin(), texts->end()),
            (std::vector<std::string_view>{"x", "", "yz"}));
  EXPECT_EQ(*file->get_ints("a.ints"), (std::vector<std::int64_t>{-1, 7}));
}

TEST(Gguf, GivesTensorsAsViews) {
  const GgufWriter writer = sample_gguf();
  const Result<GgufFile> file = writer.parse();
  ASSERT_TRUE(file.ok());
  const GgufTensor* w = file->find_tensor("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->type, GgmlType::kQ4_0);
  EXPECT_EQ(w->values(), 64u);
  EXPECT_EQ(w->data.size(), 36u);
  EXPECT_EQ(w->data[5], std::byte{5});
  EXPECT_EQ(file->find_tensor("b")->data.size(), 16u);
  EXPECT_EQ(file->find_tensor("nothing"), nullptr);
}

TEST(Gguf, Version2IsTheSame) {
  GgufWriter writer;
  writer.header(0, 1, 2).key("a", kU32, std::uint32_t{7});
  const Result<GgufFile> file = writer.parse();
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->get_uint("a"), 7u);
}

TEST(Gguf, AlignmentComesFromTheFile) {
  GgufWriter writer;
  writer.header(2, 1).key("general.alignment", kU32, std::uint32_t{8});
  writer.tensor("a", {1}, 0, 0).tensor("b", {1}, 0, 8).pad(8).data(12);
  const Result<GgufFile> file = writer.parse();
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  EXPECT_EQ(file->alignment(), 8u);
  EXPECT_EQ(file->tensors()[1].data[0], std::byte{8});
}

TEST(Gguf, MissingKeyNamesTheNearest) {
  const GgufWriter writer = sample_gguf();
  const Result<GgufFile> file = writer.parse();
  const Result<std::string_view> result = file->get_string("a.test");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().id, "TENON-F020");
  EXPECT_NE(result.error().to_string().find("a.text"), std::string::npos);
}

TEST(Gguf, KeyOfAnotherKindSaysBoth) {
  const GgufWriter writer = sample_gguf();
  const Result<GgufFile> file = writer.parse();
  for (const Error& error :
       {file->get_uint("a.text").take_error(), file->get_uint("a.i16").take_error(),
        file->get_float("a.bool").take_error(), file->get_strings("a.ints").take_error(),
        file->get_ints("a.texts").take_error(), file->get_floats("a.ints").take_error(),
        file->get_bool("a.u8").take_error(), file->get_string("a.f32").take_error()}) {
    EXPECT_EQ(error.id, "TENON-F021");
    EXPECT_FALSE(error.found.empty());
    EXPECT_FALSE(error.expected.empty());
  }
  EXPECT_EQ(file->get_tensor("v").error().id, "TENON-F022");
}

TEST(Gguf, OpensAFileAndMovesWithIt) {
  const std::string path = testing::TempDir() + "tenon_gguf_test.gguf";
  const std::string bytes = sample_gguf().bytes();
  std::ofstream(path, std::ios::binary) << bytes;
  Result<GgufFile> opened = GgufFile::open(path);
  ASSERT_TRUE(opened.ok()) << opened.error().to_string();
  GgufFile file = std::move(opened).value();
  std::remove(path.c_str());
  EXPECT_EQ(file.file_bytes(), bytes.size());
  GgufFile other = std::move(file);
  EXPECT_EQ(*other.get_string("a.text"), "hello");
  EXPECT_EQ(other.find_tensor("b")->data[1], std::byte{1});
}

TEST(Gguf, WhatCannotBeOpenedIsNamed) {
  EXPECT_EQ(GgufFile::open("/nonexistent/model.gguf").error().id, "TENON-F001");
  EXPECT_EQ(GgufFile::open("/").error().id, "TENON-F001");
  const std::string path = testing::TempDir() + "tenon_gguf_empty.gguf";
  std::ofstream(path).close();
  EXPECT_EQ(GgufFile::open(path).error().id, "TENON-F001");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace tenon
