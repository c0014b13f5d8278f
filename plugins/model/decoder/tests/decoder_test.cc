// What the model plugin declares and refuses, from metadata alone.
#include <gtest/gtest.h>

#include "core/conform/tiny_model.h"
#include "core/load/loaded_engine.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

// Loads the tiny model with one piece of its bytes replaced; the error's text, or "".
std::string load_with(const std::string& from, const std::string& to) {
  std::string bytes = TinyModel().gguf();
  const std::size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos);
  EXPECT_EQ(from.size(), to.size());
  bytes.replace(at, from.size(), to);
  const std::string path = TinyModel().save("decoder");
  std::ofstream(path, std::ios::binary) << bytes;
  const auto engine = load_engine({}, path);
  return engine.ok() ? "" : engine.error().to_string();
}

// A u32 metadata entry as it stands in the file.
std::string entry(const std::string& key, std::uint32_t value) {
  const std::uint64_t length = key.size();
  const std::uint32_t type = kU32;
  return std::string(reinterpret_cast<const char*>(&length), 8) + key +
         std::string(reinterpret_cast<const char*>(&type), 4) +
         std::string(reinterpret_cast<const char*>(&value), 4);
}

TEST(Decoder, DeclaresSitesGroupsAndPorts) {
  const std::string path = TinyModel().save("decoder-shape");
  const auto engine = load_engine({}, path);
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  const ModelShape& model = (*engine)->model();
  EXPECT_EQ(model.decoder.layers, 2);
  EXPECT_EQ(model.attention.q_heads, 3);
  EXPECT_EQ(model.attention.kv_heads, 1);
  EXPECT_EQ(model.groups.size(), 2u * 4 + 1);
  EXPECT_EQ(model.ports,
            (std::vector<std::string>{"blk.0.after_attention", "blk.0.after_feed_forward",
                                      "blk.1.after_attention", "blk.1.after_feed_forward"}));
  EXPECT_EQ(model.groups.back().weights[0], 0u);  // the head is tied to the embedding
}

TEST(Decoder, PortsShowTheSameStreamOnBothBackends) {
  const std::string path = TinyModel().save("decoder-ports");
  std::vector<std::vector<float>> streams[2];
  const char* backends[] = {"tenon.backend.cpu", "contract"};
  for (int i = 0; i < 2; ++i) {
    const auto engine = load_engine({.backend = backends[i]}, path);
    ASSERT_TRUE(engine.ok()) << engine.error().to_string();
    (*engine)->observe_ports([&](const std::string&, const Tensor& tensor, const void* data) {
      const auto* values = static_cast<const float*>(data);
      streams[i].emplace_back(values, values + tensor.shape[0] * tensor.shape[1]);
    });
    RequestSpec spec;
    spec.prompt = {1, 2, 3};
    spec.max_tokens = 3;
    ASSERT_TRUE((*engine)->engine().submit(std::move(spec)).ok());
    ASSERT_TRUE((*engine)->engine().run().ok());
  }
  EXPECT_EQ(streams[0].size(), 3u * 4);  // a prompt and two decodes, four ports each
  EXPECT_EQ(streams[0], streams[1]);
}

TEST(Decoder, RefusesHeadsThatDoNotDivide) {
  EXPECT_NE(
      load_with(entry("llama.attention.head_count", 3), entry("llama.attention.head_count", 7))
          .find("heads do not divide"),
      std::string::npos);
  EXPECT_NE(load_with(entry("llama.attention.head_count_kv", 1),
                      entry("llama.attention.head_count_kv", 2))
                .find("heads do not divide"),
            std::string::npos);
}

TEST(Decoder, RefusesImpossibleNumbers) {
  EXPECT_NE(load_with(entry("llama.block_count", 2), entry("llama.block_count", 0))
                .find("llama.block_count is 0"),
            std::string::npos);
  EXPECT_NE(load_with(entry("llama.block_count", 2), entry("llama.block_count", 3))
                .find("blk.2.attn_norm.weight"),
            std::string::npos);
  EXPECT_NE(
      load_with(entry("llama.feed_forward_length", 160), entry("llama.feed_forward_length", 192))
          .find("shape"),
      std::string::npos);
  EXPECT_NE(
      load_with(entry("llama.rope.dimension_count", 32), entry("llama.rope.dimension_count", 34))
          .find("rope.dimension_count"),
      std::string::npos);
}

}  // namespace
}  // namespace tenon
