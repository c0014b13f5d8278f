// A made-up file of one layer: what the model declares of it, what it refuses, what a step calls.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::MadeUpModel;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;
using tenon::sdk::testing::RecordingOps;

namespace {

void fill(MadeUpModel& file) {
  file.texts["general.architecture"] = "llama";
  file.numbers = {{"llama.block_count", 1},
                  {"llama.embedding_length", 64},
                  {"llama.feed_forward_length", 96},
                  {"llama.attention.head_count", 4},
                  {"llama.attention.head_count_kv", 2},
                  {"llama.context_length", 512}};
  file.reals = {{"llama.attention.layer_norm_rms_epsilon", 1e-5}};
  file.tensors = {{"token_embd.weight", {300, 64}},    {"output_norm.weight", {1, 64}},
                  {"blk.0.attn_norm.weight", {1, 64}}, {"blk.0.ffn_norm.weight", {1, 64}},
                  {"blk.0.attn_q.weight", {64, 64}},   {"blk.0.attn_k.weight", {32, 64}},
                  {"blk.0.attn_v.weight", {32, 64}},   {"blk.0.attn_output.weight", {64, 64}},
                  {"blk.0.ffn_gate.weight", {96, 64}}, {"blk.0.ffn_up.weight", {96, 64}},
                  {"blk.0.ffn_down.weight", {64, 96}}};
}

}  // namespace

int main(int, char** argv) {
  MadeUpModel file;
  fill(file);
  RecordingOps ops;
  FakeHost host;
  host.offer(TENON_BUILDER_ID, file.table()).offer(TENON_OPS_ID, ops.table());
  const OpenedPlugin<tenon_model_v1> model(argv[1], TENON_MODEL_ID, host);
  const auto load = [&] {
    return outcome([&](tenon_call* call) { return model->load(model.self(), call); });
  };
  TENON_CHECK_OK(load());
  TENON_CHECK(file.sites.size() == 8 && file.params.size() == 3 && file.groups == 5);
  TENON_CHECK(file.stream.width == 64 && file.stream.vocabulary == 300);
  TENON_CHECK(file.geometry.head_dim == 16 && file.geometry.kv_heads == 2);

  // A step of the layer: the caller keeps x and gets one tensor; nothing else stays.
  tenon_tensor* x = ops.make();
  tenon_tensor* out = nullptr;
  TENON_CHECK_OK(
      outcome([&](tenon_call* call) { return model->layer(model.self(), 0, x, &out, call); }));
  TENON_CHECK(ops.called() == (std::vector<int>{TENON_OP_LINEAR_GROUP, RecordingOps::kAttention,
                                                TENON_OP_LINEAR_GROUP, TENON_OP_LINEAR_GROUP,
                                                TENON_OP_LINEAR_GROUP}));
  TENON_CHECK(out != nullptr && ops.held() == 2);

  file.numbers["llama.attention.key_length"] = 32;
  TENON_CHECK(load().message().find("key_length") != std::string::npos);
  fill(file);
  file.texts["general.architecture"] = "mamba";
  TENON_CHECK(load().message().find("mamba") != std::string::npos);
  fill(file);
  file.tensors.erase("blk.0.ffn_up.weight");
  TENON_CHECK(load().message().find("blk.0.ffn_up.weight") != std::string::npos);
  return 0;
}
