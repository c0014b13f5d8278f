// PEFT's rules for which modules are meant, with which rank and scale; and a folder that PEFT
// wrote.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"
#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

// Two layers of three modules and a head, all 4 x 4.
const std::vector<std::string> kModules = {"model.layers.0.self_attn.q_proj",
                                           "model.layers.0.self_attn.v_proj",
                                           "model.layers.0.mlp.up_proj",
                                           "model.layers.1.self_attn.q_proj",
                                           "model.layers.1.self_attn.v_proj",
                                           "model.layers.1.mlp.up_proj",
                                           "lm_head"};

struct Changed {
  std::int32_t rank;
  double scale;
};

// What the plugin changes under a configuration, when the file has factors of these ranks. Empty,
// and `error` filled, when it refuses.
std::map<std::string, Changed> changed_by(const std::string& fields,
                                          const std::map<std::string, std::int32_t>& ranks,
                                          std::string* error = nullptr) {
  const OpenPlugin plugin("tenon.adapter.lora");
  const auto table = plugin.as<iface::Adapter, tenon_adapter_v1>(TENON_ADAPTER_ID);
  std::vector<tenon_adapter_site> sites;
  for (std::uint32_t i = 0; i < kModules.size(); ++i)
    sites.push_back({i, 0, {kModules[i].data(), kModules[i].size()}, 4, 4});
  EXPECT_TRUE(table.bind(sites.data(), sites.size()).ok());
  std::map<std::string, std::int32_t> tensors;  // name -> rank
  for (const auto& [module, rank] : ranks)
    for (const char* factor : {"A", "B"}) tensors[TinyAdapter::key(module, factor)] = rank;
  std::vector<tenon_adapter_tensor> list;
  for (const auto& [name, rank] : tensors) {
    const bool a = name.find("lora_A") != std::string::npos;
    list.push_back({{name.data(), name.size()}, a ? rank : 4, a ? 4 : rank, 2, 0});
  }
  const std::string name = "a",
                    config = R"({"peft_type": "LORA", "r": 2, "lora_alpha": 8, )" + fields + "}";
  const auto read = [](void* ctx, std::uint64_t index, float* out) -> std::int32_t {
    const auto& tensor = (*static_cast<std::vector<tenon_adapter_tensor>*>(ctx))[index];
    std::fill_n(out, tensor.n * tensor.k, static_cast<float>(index));
    return 1;
  };
  const tenon_adapter_source source{{sizeof source, 0, nullptr},
                                    {name.data(), name.size()},
                                    {config.data(), config.size()},
                                    list.data(),
                                    list.size(),
                                    read,
                                    &list};
  std::map<std::string, Changed> out;
  const Status loaded = table.load_slot(3, &source);
  if (!loaded.ok()) {
    if (error != nullptr) *error = loaded.error().message;
    EXPECT_NE(error, nullptr) << loaded.error().to_string();
    return out;
  }
  for (std::uint32_t i = 0; i < kModules.size(); ++i) {
    tenon_lowered lowered{};
    EXPECT_TRUE(table.lower(3, i, &lowered).ok());
    if (lowered.rank > 0) out[kModules[i]] = {lowered.rank, lowered.scale};
  }
  table.free_slot(3);
  return out;
}

std::map<std::string, std::int32_t> ranks_of(const std::vector<std::size_t>& modules) {
  std::map<std::string, std::int32_t> out;
  for (const std::size_t i : modules) out[kModules[i]] = 2;
  return out;
}

TEST(Lora, ModulesAreThoseThatPeftMeans) {
  const std::vector<std::pair<const char*, std::vector<std::size_t>>> rules = {
      {R"("target_modules": ["q_proj", "v_proj"])", {0, 1, 3, 4}},
      {R"("target_modules": ["self_attn.q_proj"])", {0, 3}},
      {R"("target_modules": ["model.layers.1.mlp.up_proj"])", {5}},
      {R"("target_modules": ["lm_head", "up_proj"])", {2, 5, 6}},
      {R"("target_modules": "all-linear")", {0, 1, 2, 3, 4, 5}},
      {R"("target_modules": ".*\\.(q|v)_proj")", {0, 1, 3, 4}},
      {R"("target_modules": "model\\.layers\\.[1-9]\\..*")", {3, 4, 5}},
      {R"("target_modules": ["q_proj", "up_proj"], "exclude_modules": ["up_proj"])", {0, 3}},
      {R"("target_modules": "all-linear", "exclude_modules": ".*layers.0.*")", {3, 4, 5}},
      {R"("target_modules": ["q_proj"], "layers_to_transform": [1])", {3}},
      {R"("target_modules": ["q_proj"], "layers_to_transform": 0)", {0}},
      {R"("target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers")",
       {3}},
      {R"("target_modules": ["q_proj"], "layers_to_transform": 0, "layers_pattern": ["h", "layers"])",
       {0}}};
  for (const auto& [fields, modules] : rules) {
    const auto changed = changed_by(fields, ranks_of(modules));
    EXPECT_EQ(changed.size(), modules.size()) << fields;
    for (const std::size_t i : modules) {
      ASSERT_TRUE(changed.contains(kModules[i])) << fields << ": " << kModules[i];
      EXPECT_EQ(changed.at(kModules[i]).scale, 4);
    }
  }
}

TEST(Lora, APartOfANameIsNoName) {
  // The second is an expression, which is for the whole path.
  for (const char* fields : {R"("target_modules": ["proj"])", R"("target_modules": "q_proj")"}) {
    std::string error;
    changed_by(fields, {}, &error);
    EXPECT_NE(error.find("match no module"), std::string::npos) << error;
  }
}

TEST(Lora, PatternsChangeRankAndAlpha) {
  auto ranks = ranks_of({0, 1, 3, 4});
  ranks[kModules[0]] = 4;
  ranks[kModules[3]] = 3;
  const auto changed =
      changed_by(R"("target_modules": ["q_proj", "v_proj"], "alpha_pattern": {"v_proj": 1},)"
                 R"("rank_pattern": {"layers.0.self_attn.q_proj": 4, "q_proj": 3})",
                 ranks);
  ASSERT_EQ(changed.size(), 4u);
  EXPECT_EQ(changed.at(kModules[0]).rank, 4);
  EXPECT_EQ(changed.at(kModules[0]).scale, 2);
  EXPECT_EQ(changed.at(kModules[3]).rank, 3);
  EXPECT_EQ(changed.at(kModules[1]).scale, 0.5);
}

TEST(Lora, RsloraDividesByTheRoot) {
  const auto changed =
      changed_by(R"("use_rslora": true, "target_modules": ["q_proj"])", ranks_of({0, 3}));
  EXPECT_EQ(changed.at(kModules[0]).scale, 8 / std::sqrt(2.0));
}

// An expression that a malicious file could choose ends, whatever the paths are.
TEST(Lora, AnExpensiveExpressionEnds) {
  std::string error;
  changed_by(R"("target_modules": "(.*)*(.*)*(.*)*(.*)*x")", {}, &error);
  EXPECT_NE(error.find("match no module"), std::string::npos) << error;
}

// tests/integration/lora_peft.py tiny OUT --rank 2 --targets q_proj,down_proj; nothing is changed.
TEST(Lora, AFolderThatPeftWroteLoadsAsItIs) {
  auto engine = load_engine({.backend = "exact", .adapters = true}, TinyModel().save("peft"));
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  const auto loaded =
      (*engine)->adapters()->load("peft", TENON_SOURCE_DIR "/tests/fixtures/lora/tiny");
  ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
  ASSERT_EQ((*loaded)->sites.size(), 4u);
  EXPECT_EQ((*loaded)->sites[0].module, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ((*loaded)->sites[0].rank, 2);
  EXPECT_EQ((*loaded)->sites[0].scale, 2);
  Answer base, adapted;
  RequestSpec spec;
  spec.prompt = {1, 2, 3};
  spec.max_tokens = 4;
  ASSERT_TRUE(submit_into(**engine, spec, base).ok());
  spec.adapter = "peft";
  ASSERT_TRUE(submit_into(**engine, spec, adapted).ok() && (*engine)->engine().run().ok());
  EXPECT_NE(base.logprobs, adapted.logprobs);
}

}  // namespace
}  // namespace tenon
