// Folders that no adapter of this model is: each is refused by name, and nothing is left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

struct Folder {
  std::string config, tensors;
};

struct Bad {
  const char* name;
  std::function<void(Folder&, TinyAdapter&)> spoil;
  const char* id;
  const char* says;  // in the message, the place or the fix
};

constexpr const char* kQ = "model.layers.0.self_attn.q_proj";

void field(Folder& folder, const std::string& text) { folder.config.insert(1, text + ", "); }
void replace(std::string& text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
}
void write(Folder& folder, const TinyAdapter& adapter) {
  folder.tensors = write_safetensors(adapter.tensors);
}

std::vector<Bad> bad_fields() {
  const auto add_field = [](const char* text) {
    return [text](Folder& folder, TinyAdapter&) { field(folder, text); };
  };
  const auto change = [](const char* from, const char* to) {
    return [from, to](Folder& folder, TinyAdapter&) { replace(folder.config, from, to); };
  };
  return {
      {"no-json", [](Folder& f, TinyAdapter&) { f.config = "{ peft"; }, "TENON-D013",
       "no JSON object"},
      {"empty", [](Folder& f, TinyAdapter&) { f.config = ""; }, "TENON-D013", "no JSON object"},
      {"a-list", [](Folder& f, TinyAdapter&) { f.config = "[]"; }, "TENON-D013", "no JSON object"},
      {"huge", [](Folder& f, TinyAdapter&) { f.config.append(2 << 20, ' '); }, "TENON-D011",
       "too large"},
      {"deep",
       [](Folder& f, TinyAdapter&) {
         f.config = "{\"r\": " + std::string(200000, '[') + std::string(200000, ']') + "}";
       },
       "TENON-D013", "nested"},
      {"other-method", change("\"LORA\"", "\"IA3\""), "TENON-D013", "peft_type is \"IA3\""},
      {"no-method", change("\"peft_type\"", "\"kind\""), "TENON-D013", "peft_type is null"},
      {"rank-0", change("\"r\": 4", "\"r\": 0"), "TENON-D013", "r is 0"},
      {"rank-text", change("\"r\": 4", "\"r\": \"4\""), "TENON-D013", "r is \"4\""},
      {"rank-huge", change("\"r\": 4", "\"r\": 99999999999"), "TENON-D013", "r is 99999999999"},
      {"alpha-text", change("8.0", "\"x8.0"), "TENON-D013", "no JSON object"},
      {"alpha-null", change("8.000000", "null"), "TENON-D013", "lora_alpha is null"},
      {"bias", change("\"none\"", "\"all\""), "TENON-D013", "bias is \"all\""},
      {"dora", add_field("\"use_dora\": true"), "TENON-D013", "use_dora is true"},
      {"saved", add_field("\"modules_to_save\": [\"lm_head\"]"), "TENON-D013",
       "modules_to_save is [\"lm_head\"]"},
      {"lora-bias", add_field("\"lora_bias\": true"), "TENON-D013", "lora_bias"},
      {"parameters", add_field("\"target_parameters\": [\"x\"]"), "TENON-D013",
       "target_parameters"},
      {"tokens", add_field("\"trainable_token_indices\": [5]"), "TENON-D013",
       "trainable_token_indices"},
      {"replicated", add_field("\"layer_replication\": [[0, 1]]"), "TENON-D013",
       "layer_replication"},
      {"future", add_field("\"use_wonder\": 3"), "TENON-D013", "use_wonder is 3"},
      {"pissa", add_field("\"init_lora_weights\": \"pissa\""), "TENON-D013",
       "init_lora_weights is \"pissa\""},
      {"rslora-number", add_field("\"use_rslora\": 1"), "TENON-D013", "use_rslora is 1"},
  };
}

std::vector<Bad> bad_targets() {
  const auto add_field = [](const char* text) {
    return [text](Folder& folder, TinyAdapter&) { field(folder, text); };
  };
  const auto targets = [](const char* text) {
    return [text](Folder& f, TinyAdapter&) {
      const std::size_t at = f.config.find("[\"model");
      f.config.replace(at, f.config.find(']') + 1 - at, text);
    };
  };
  return {
      {"expression", targets("\"(q_proj\""), "TENON-D013",
       "target_modules is no regular expression"},
      {"no-target", targets("[]"), "TENON-D013", "target_modules is missing or empty"},
      {"other-modules", targets("[\"c_attn\"]"), "TENON-D013", "it has lm_head, q_proj"},
      {"targets-number", targets("17"), "TENON-D013", "target_modules is 17"},
      {"layers-text", add_field("\"layers_to_transform\": \"all\""), "TENON-D013",
       "layers_to_transform is \"all\""},
      {"pattern-rank", add_field("\"rank_pattern\": {\"q_proj\": -1}"), "TENON-D013",
       "rank_pattern[\"q_proj\"] is -1"},
      {"rank-disagrees", add_field("\"rank_pattern\": {\"q_proj\": 5}"), "TENON-D013",
       "r, rank_pattern and the tensors do not agree"},
  };
}

std::vector<Bad> bad_tensors() {
  return {
      {"missing-b",
       [](Folder& f, TinyAdapter& a) {
         a.tensors.erase(TinyAdapter::key(kQ, "B"));
         write(f, a);
       },
       "TENON-D013",
       "tensors are missing: base_model.model.model.layers.0.self_attn.q_proj.lora_B"},
      {"extra-module",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key("model.layers.7.self_attn.q_proj", "A")] = {
             {4, 96}, std::vector<float>(384)};
         write(f, a);
       },
       "TENON-D013", "belong to no module"},
      {"embedding",
       [](Folder& f, TinyAdapter& a) {
         a.tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = {
             {4, 3}, std::vector<float>(12)};
         write(f, a);
       },
       "TENON-D013", "lora_embedding_A"},
      {"whole-weight",
       [](Folder& f, TinyAdapter& a) {
         a.tensors["base_model.model.model.embed_tokens.weight"] = {{4, 3}, std::vector<float>(12)};
         write(f, a);
       },
       "TENON-D013", "whole weights of the base"},
      {"magnitude",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[std::string("base_model.model.") + kQ + ".lora_magnitude_vector"] = {
             {96}, std::vector<float>(96)};
         write(f, a);
       },
       "TENON-D013", "lora_magnitude_vector"},
      {"other-base",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key(kQ, "A")] = {{4, 2048}, std::vector<float>(8192)};
         write(f, a);
         field(f, "\"base_model_name_or_path\": \"big/model\"");
       },
       "TENON-D013", "does not fit this model: its configuration names the base \"big/model\""},
      {"other-width",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key(kQ, "B")] = {{95, 4}, std::vector<float>(380)};
         write(f, a);
       },
       "TENON-D013", "is [95, 4]; expected [96, 4]"},
      {"three-dimensions",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key(kQ, "A")].shape = {4, 96, 1};
         write(f, a);
       },
       "TENON-D013", "3 dimensions"},
      {"nan",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key(kQ, "B")].values[5] = std::numeric_limits<float>::quiet_NaN();
         write(f, a);
       },
       "TENON-D013", "lora_B.weight\" holds a value that is not finite"},
      {"infinity",
       [](Folder& f, TinyAdapter& a) {
         a.tensors[TinyAdapter::key(kQ, "A")].values[5] = std::numeric_limits<float>::infinity();
         write(f, a);
       },
       "TENON-D013", "lora_A.weight\" holds a value that is not finite"},
      {"integers",
       [](Folder& f, TinyAdapter& a) {
         write(f, a);
         replace(f.tensors, "F32", "I32");
       },
       "TENON-D013", "a type that is not read"},
      {"cut", [](Folder& f, TinyAdapter&) { f.tensors.resize(f.tensors.size() - 9); }, "TENON-F069",
       "outside the data"},
      {"no-header", [](Folder& f, TinyAdapter&) { f.tensors = "abc"; }, "TENON-F061", ""},
      {"no-tensors", [](Folder& f, TinyAdapter&) { f.tensors = write_safetensors({}); },
       "TENON-D013", "tensors are missing"},
  };
}

class BadAdapter : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded =
        load_engine({.backend = "contract", .adapters = true}, TinyModel().save("bad-adapter"));
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
    engine_ = std::move(*loaded);
  }
  void expect_refused(const std::string& folder, const std::string& id, const std::string& says) {
    const auto loaded = engine_->adapters()->load("bad", folder);
    ASSERT_FALSE(loaded.ok());
    const std::string text = loaded.error().to_string();
    EXPECT_EQ(loaded.error().id, id) << text;
    EXPECT_NE(text.find(says), std::string::npos) << text;
    EXPECT_NE(text.find(folder), std::string::npos) << text;
    EXPECT_EQ(engine_->adapters()->slots(), 0u);
    EXPECT_EQ(engine_->adapters()->weights(), 0u);
  }
  std::unique_ptr<LoadedEngine> engine_;
};

TEST_F(BadAdapter, IsRefusedByName) {
  std::vector<Bad> all = bad_fields();
  for (const auto& more : {bad_targets(), bad_tensors()})
    all.insert(all.end(), more.begin(), more.end());
  for (const Bad& bad : all) {
    SCOPED_TRACE(bad.name);
    TinyAdapter adapter(1, TinyAdapter::llama_modules());
    Folder folder{adapter.config(), write_safetensors(adapter.tensors)};
    bad.spoil(folder, adapter);
    const std::string path = adapter_folder(std::string("bad-") + bad.name);
    std::ofstream(path + "/adapter_config.json") << folder.config;
    std::ofstream(path + "/adapter_model.safetensors", std::ios::binary) << folder.tensors;
    expect_refused(path, bad.id, bad.says);
  }
  // After all of these a good one loads.
  const auto good = engine_->adapters()->load(
      "good", TinyAdapter(1, TinyAdapter::llama_modules()).save("bad-good"));
  EXPECT_TRUE(good.ok());
}

TEST_F(BadAdapter, MissingFilesAreNamed) {
  expect_refused("/nowhere/at/all", "TENON-D010", "nothing");
  const std::string empty = adapter_folder("bad-nothing");
  expect_refused(empty, "TENON-D010", "adapter_config.json");
  std::ofstream(empty + "/adapter_config.json") << "{}";
  expect_refused(empty, "TENON-D012", "adapter_model.safetensors");
  std::ofstream(empty + "/adapter_model.bin") << "x";
  expect_refused(empty, "TENON-D012", "pickled");
  expect_refused(empty + "/adapter_config.json", "TENON-D010", "no folder");
  // A pipe would wait for a writer.
  ASSERT_EQ(::mkfifo((empty + "/adapter_model.safetensors").c_str(), 0600), 0);
  expect_refused(empty, "TENON-D012", "not a regular file");
}

}  // namespace
}  // namespace tenon
