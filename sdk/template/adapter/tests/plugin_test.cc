// An adapter of one site, made up, and what it is lowered to.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::str_of;
using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::GivenParams;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

constexpr const char* kModule = "model.layers.0.self_attn.q_proj";
constexpr const char* kA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
constexpr const char* kB = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

using Adapter = OpenedPlugin<tenon_adapter_v1>;

tenon::sdk::Status load(const Adapter& adapter, const char* config,
                        const std::vector<tenon_adapter_tensor>& tensors) {
  tenon_adapter_source source{};
  source.hdr = {sizeof source, 0, nullptr};
  source.name = str_of("mine");
  source.config = str_of(config);
  source.tensors = tensors.data();
  source.n_tensors = tensors.size();
  source.read = [](void*, std::uint64_t index, float* out) -> std::int32_t {
    for (int i = 0; i < (index == 0 ? 6 : 8); ++i) out[i] = static_cast<float>(index * 10 + i);
    return 1;
  };
  return outcome(
      [&](tenon_call* call) { return adapter->load_slot(adapter.self(), 0, &source, call); });
}

}  // namespace

int main(int, char** argv) {
  FakeHost host;
  const Adapter adapter(argv[1], TENON_ADAPTER_ID, host, GivenParams().set("strength", 0.5));
  const tenon_adapter_site sites[] = {{5, 0, str_of(kModule), 4, 3},
                                      {6, 0, str_of("model.x"), 4, 3}};
  TENON_CHECK_OK(
      outcome([&](tenon_call* call) { return adapter->bind(adapter.self(), sites, 2, call); }));

  // A: [2, 3], B: [4, 2].
  const std::vector<tenon_adapter_tensor> pair = {{str_of(kA), 2, 3, 2, 0},
                                                  {str_of(kB), 4, 2, 2, 0}};
  TENON_CHECK_OK(load(adapter, R"({"r": 2, "lora_alpha": 16, "use_dora": false})", pair));
  tenon_lowered lowered{};
  const auto lower = [&](std::uint32_t site) {
    return outcome(
        [&](tenon_call* call) { return adapter->lower(adapter.self(), 0, site, &lowered, call); });
  };
  TENON_CHECK_OK(lower(5));
  TENON_CHECK(lowered.rank == 2 && lowered.scale == 4);  // 16 / 2 * 0.5
  TENON_CHECK(lowered.a[5] == 5 && lowered.b[7] == 17);
  TENON_CHECK_OK(lower(6));
  TENON_CHECK(lowered.rank == 0);
  adapter->free_slot(adapter.self(), 0);

  // Refusals name what is wrong.
  const auto refused = [&](const char* config, const std::vector<tenon_adapter_tensor>& tensors,
                           const char* word) {
    return load(adapter, config, tensors).message().find(word) != std::string::npos;
  };
  TENON_CHECK(refused(R"({"lora_alpha": 16, "use_dora": true})", pair, "use_dora"));
  TENON_CHECK(refused("{}", pair, "lora_alpha"));
  TENON_CHECK(refused(R"({"lora_alpha": 1})", {pair[0]}, "only one of"));
  TENON_CHECK(
      refused(R"({"lora_alpha": 1})", {{str_of(kA), 2, 9, 2, 0}, pair[1]}, "expected [r, 3]"));
  TENON_CHECK(refused(R"({"lora_alpha": 1})", {{str_of("other"), 2, 3, 2, 0}}, "other"));
  return 0;
}
