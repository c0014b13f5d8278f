// A decoder of the Llama shape, from a GGUF file's metadata:
//
//   h   = x + W_o attention(W_q n1(x), W_k n1(x), W_v n1(x))
//   out = h + W_down (silu(W_gate n2(h)) * W_up n2(h))
//
// Everything is declared in load(), before a weight is read: sites (what adapters bind to and ranks
// cut), norms, and prepared groups that a backend may fuse. A step calls groups by their ids.
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/tensor.hpp"

namespace {

using tenon::sdk::Status;
using tenon::sdk::str_of;
using tenon::sdk::Tensors;

struct Layer {
  std::uint32_t qkv = 0, out = 0, gate_up = 0, down = 0;
};

class Decoder {
 public:
  Decoder(const tenon::sdk::Host& host, const tenon::sdk::Params&)
      : builder_(host.required<tenon_builder_v1>(TENON_BUILDER_ID)),
        ops_(host.required<tenon_ops_v1>(TENON_OPS_ID)) {}

  Status load() {
    TENON_SDK_TRY(read_metadata());
    TENON_SDK_TRY(site({"token_embd", "", vocabulary_, width_}, embedding_));
    const tenon_decoder stream{{sizeof stream, 0, nullptr},
                               static_cast<std::int32_t>(n_layers_),
                               static_cast<std::int32_t>(width_),
                               static_cast<std::int32_t>(vocabulary_),
                               static_cast<std::int32_t>(context_),
                               static_cast<std::int32_t>(inner_),
                               0};
    TENON_SDK_TRY(builder_.decoder(&stream));
    layers_.resize(static_cast<std::size_t>(n_layers_));
    for (std::size_t i = 0; i < layers_.size(); ++i) TENON_SDK_TRY(declare_layer(i, layers_[i]));
    TENON_SDK_TRY(declare_attention());
    return declare_head();
  }

  Status embed(tenon_tensor* ids, tenon_tensor** out) {
    const tenon_op_gather op{
        {sizeof op, TENON_OP_GATHER, nullptr}, static_cast<std::int32_t>(embedding_), 0, 1.0};
    return ops_.call(&op.hdr, &ids, 1, out, 1);
  }

  Status layer(std::int32_t index, tenon_tensor* x, tenon_tensor** out) {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    Tensors mixed(ops_), h(ops_), gated(ops_);
    {
      Tensors<3> qkv(ops_);
      TENON_SDK_TRY(linear(layer.qkv, {x}, qkv.out(), 3));
      TENON_SDK_TRY(ops_.attention(index, qkv[0], qkv[1], qkv[2], mixed.out()));
    }
    TENON_SDK_TRY(linear(layer.out, {mixed[0], x}, h.out()));
    mixed.release();
    TENON_SDK_TRY(linear(layer.gate_up, {h[0]}, gated.out()));
    return linear(layer.down, {gated[0], h[0]}, out);
  }

  Status head(tenon_tensor* x, tenon_tensor** out) { return linear(head_, {x}, out); }

 private:
  Status linear(std::uint32_t group, std::initializer_list<tenon_tensor*> in, tenon_tensor** out,
                std::uint32_t n_out = 1) {
    const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, group, 0, nullptr};
    return ops_.call(&op.hdr, in.begin(), static_cast<std::uint32_t>(in.size()), out, n_out);
  }

  Status number(const char* key, std::int64_t& out) {
    std::uint64_t value = 0;
    TENON_SDK_TRY(builder_.get_uint(str_of(prefix_ + key), &value));
    if (value == 0 || value > 1u << 24)
      return tenon::sdk::invalid_argument(prefix_ + key + " is " + std::to_string(value));
    out = static_cast<std::int64_t>(value);
    return {};
  }

  Status read_metadata() {
    tenon_str architecture{};
    TENON_SDK_TRY(builder_.get_string(str_of("general.architecture"), &architecture));
    if (tenon::sdk::text_of(architecture) != "llama")
      return tenon::sdk::unimplemented("architecture \"" +
                                       std::string(tenon::sdk::text_of(architecture)) +
                                       "\" is not known to @ID@; known: llama");
    TENON_SDK_TRY(number("block_count", n_layers_));
    TENON_SDK_TRY(number("embedding_length", width_));
    TENON_SDK_TRY(number("feed_forward_length", inner_));
    TENON_SDK_TRY(number("attention.head_count", q_heads_));
    TENON_SDK_TRY(number("attention.head_count_kv", kv_heads_));
    TENON_SDK_TRY(number("context_length", context_));
    TENON_SDK_TRY(builder_.get_float(str_of(prefix_ + "attention.layer_norm_rms_epsilon"), &eps_));
    if (builder_.has_key(str_of(prefix_ + "rope.freq_base")) != 0)
      TENON_SDK_TRY(builder_.get_float(str_of(prefix_ + "rope.freq_base"), &rope_base_));
    // What changes the formula is refused by name.
    for (const char* key :
         {"rope.scaling.type", "attention.key_length", "attention.sliding_window"})
      if (builder_.has_key(str_of(prefix_ + key)) != 0)
        return tenon::sdk::unimplemented(prefix_ + key + " is not known to @ID@");
    if (width_ % q_heads_ != 0 || q_heads_ % kv_heads_ != 0)
      return tenon::sdk::invalid_argument("heads do not divide: width " + std::to_string(width_) +
                                          ", query heads " + std::to_string(q_heads_) +
                                          ", key-value heads " + std::to_string(kv_heads_));
    std::int64_t width = 0;
    if (builder_.tensor_shape(str_of("token_embd.weight"), &vocabulary_, &width) == 0)
      return tenon::sdk::invalid_argument("the file has no tensor \"token_embd.weight\"");
    return {};
  }

  // A linear place: its tensor without ".weight", the published module, outputs, inputs.
  struct Site {
    std::string tensor, module;
    std::int64_t n, k;
    tenon_split split_n = TENON_SPLIT_NONE, split_k = TENON_SPLIT_NONE;
    std::int64_t paired_heads = 0;  // the converter reorders the rows of Q and K
  };
  Status site(const Site& s, std::uint32_t& out) {
    const std::string name = s.tensor + ".weight";
    const tenon_site record{{sizeof record, 0, nullptr},
                            str_of(name),
                            str_of(s.module),
                            s.n,
                            s.k,
                            s.split_n,
                            s.split_k,
                            static_cast<std::int32_t>(s.paired_heads),
                            0};
    return builder_.site(&record, &out);
  }

  Status norm(const std::string& tensor, std::int32_t& out) {
    std::uint32_t id = 0;
    TENON_SDK_TRY(builder_.param(str_of(tensor + ".weight"), width_, &id));
    out = static_cast<std::int32_t>(id);
    return {};
  }

  Status group(std::int32_t norm, tenon_epilogue epilogue,
               std::initializer_list<std::uint32_t> weights, std::uint32_t& out) {
    const tenon_linear_group record{{sizeof record, 0, nullptr},
                                    0,
                                    epilogue,
                                    norm,
                                    static_cast<std::uint32_t>(weights.size()),
                                    eps_,
                                    weights.begin(),
                                    -1,
                                    0};
    return builder_.linear_group(&record, &out);
  }

  Status declare_layer(std::size_t index, Layer& layer) {
    const std::string t = "blk." + std::to_string(index) + ".",
                      m = "model.layers." + std::to_string(index) + ".";
    const std::int64_t d = width_, kv = d / q_heads_ * kv_heads_;
    std::int32_t n1 = -1, n2 = -1;
    std::uint32_t q, k, v, o, gate, up, down;
    TENON_SDK_TRY(norm(t + "attn_norm", n1));
    TENON_SDK_TRY(norm(t + "ffn_norm", n2));
    TENON_SDK_TRY(site({t + "attn_q", m + "self_attn.q_proj", d, d, TENON_SPLIT_Q_HEADS,
                        TENON_SPLIT_NONE, q_heads_},
                       q));
    TENON_SDK_TRY(site({t + "attn_k", m + "self_attn.k_proj", kv, d, TENON_SPLIT_KV_HEADS,
                        TENON_SPLIT_NONE, kv_heads_},
                       k));
    TENON_SDK_TRY(site({t + "attn_v", m + "self_attn.v_proj", kv, d, TENON_SPLIT_KV_HEADS}, v));
    TENON_SDK_TRY(site(
        {t + "attn_output", m + "self_attn.o_proj", d, d, TENON_SPLIT_NONE, TENON_SPLIT_Q_HEADS},
        o));
    TENON_SDK_TRY(
        site({t + "ffn_gate", m + "mlp.gate_proj", inner_, d, TENON_SPLIT_FEED_FORWARD}, gate));
    TENON_SDK_TRY(site({t + "ffn_up", m + "mlp.up_proj", inner_, d, TENON_SPLIT_FEED_FORWARD}, up));
    TENON_SDK_TRY(site({t + "ffn_down", m + "mlp.down_proj", d, inner_, TENON_SPLIT_NONE,
                        TENON_SPLIT_FEED_FORWARD},
                       down));
    TENON_SDK_TRY(group(n1, TENON_EPILOGUE_NONE, {q, k, v}, layer.qkv));
    TENON_SDK_TRY(group(-1, TENON_EPILOGUE_RESIDUAL, {o}, layer.out));
    TENON_SDK_TRY(group(n2, TENON_EPILOGUE_SILU_MUL, {gate, up}, layer.gate_up));
    return group(-1, TENON_EPILOGUE_RESIDUAL, {down}, layer.down);
  }

  Status declare_attention() {
    const std::vector<tenon_attention_layer> layers(layers_.size(), {rope_base_, 0, -1, -1, 0});
    const auto head_dim = static_cast<std::int32_t>(width_ / q_heads_);
    const tenon_attention_geometry geometry{{sizeof geometry, 0, nullptr},
                                            static_cast<std::int32_t>(n_layers_),
                                            static_cast<std::int32_t>(q_heads_),
                                            static_cast<std::int32_t>(kv_heads_),
                                            head_dim,
                                            TENON_ROPE_STYLE_ADJACENT,
                                            head_dim,
                                            1.0 / std::sqrt(head_dim),
                                            eps_,
                                            layers.data()};
    return builder_.attention(&geometry);
  }

  // A file without a head of its own shares the embedding.
  Status declare_head() {
    std::int32_t before = -1;
    std::uint32_t output = embedding_;
    std::int64_t n = 0, k = 0;
    TENON_SDK_TRY(norm("output_norm", before));
    if (builder_.tensor_shape(str_of("output.weight"), &n, &k) != 0)
      TENON_SDK_TRY(site({"output", "lm_head", vocabulary_, width_}, output));
    return group(before, TENON_EPILOGUE_NONE, {output}, head_);
  }

  tenon::sdk::BuilderService builder_;
  tenon::sdk::OpsService ops_;
  const std::string prefix_ = "llama.";
  std::int64_t n_layers_ = 0, width_ = 0, inner_ = 0, q_heads_ = 0, kv_heads_ = 0, context_ = 0,
               vocabulary_ = 0;
  double eps_ = 0, rope_base_ = 10000;
  std::uint32_t embedding_ = 0, head_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace

TENON_PLUGIN(Decoder, TENON_MODEL_ID, ModelTable);
