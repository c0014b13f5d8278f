// A decoder-only transformer of the Llama family: pre-norm, grouped-query attention with rope,
// gated SiLU feed-forward.
//
//   h = x + W_o attention(W_q n1(x), W_k n1(x), W_v n1(x));   out = h + W_down (silu(W_gate n2(h))
//   * W_up n2(h))
//
// Everything is said in prepared groups of sites, so that a backend fuses the norm, the products
// and what follows them.
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;
using tenon::sdk::str_of;

struct Layer {
  std::uint32_t qkv, out, gate_up, down;              // prepared groups
  std::uint32_t after_attention, after_feed_forward;  // ports
};

struct Shape {
  std::int64_t layers = 0, width = 0, feed_forward = 0, q_heads = 0, kv_heads = 0, context = 0,
               vocabulary = 0;
  std::int64_t head_dim = 0, rope_dims = 0;
  double rope_base = 10000, norm_eps = 0;
};

class Decoder {
 public:
  Decoder(const tenon::sdk::Host& host, const tenon::sdk::Params&)
      : builder_(host.required<tenon_builder_v1>(TENON_BUILDER_ID)),
        ops_(host.required<tenon_ops_v1>(TENON_OPS_ID)) {}

  Status load() {
    TENON_SDK_TRY(read_shape());
    TENON_SDK_TRY(declare_stream());
    layers_.resize(static_cast<std::size_t>(shape_.layers));
    for (std::size_t i = 0; i < layers_.size(); ++i)
      TENON_SDK_TRY(declare_layer("blk." + std::to_string(i) + ".", layers_[i]));
    return declare_head();
  }

  Status embed(tenon_tensor* ids, tenon_tensor** out) {
    tenon_op_gather op{
        {sizeof op, TENON_OP_GATHER, nullptr}, static_cast<std::int32_t>(embedding_), 0};
    return ops_.call(&op.hdr, &ids, 1, out, 1);
  }

  Status layer(std::int32_t index, tenon_tensor* x, tenon_tensor** out) {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    std::array<tenon_tensor*, 3> qkv;
    TENON_SDK_TRY(linear(layer.qkv, {x}, qkv));
    tenon_tensor* mixed = nullptr;
    Status status = ops_.attention(index, qkv[0], qkv[1], qkv[2], &mixed);
    for (tenon_tensor* t : qkv) ops_.release(t);
    if (!status.ok()) return status;

    std::array<tenon_tensor*, 1> h, gated, y;
    status = linear(layer.out, {mixed, x}, h);
    ops_.release(mixed);
    if (!status.ok()) return status;
    ops_.port(layer.after_attention, h[0]);

    status = linear(layer.gate_up, {h[0]}, gated);
    if (status.ok()) {
      status = linear(layer.down, {gated[0], h[0]}, y);
      ops_.release(gated[0]);
    }
    ops_.release(h[0]);
    if (!status.ok()) return status;
    ops_.port(layer.after_feed_forward, y[0]);
    *out = y[0];
    return {};
  }

  Status head(tenon_tensor* x, tenon_tensor** out) {
    std::array<tenon_tensor*, 1> logits;
    TENON_SDK_TRY(linear(head_, {x}, logits));
    *out = logits[0];
    return {};
  }

 private:
  template <std::size_t N>
  Status linear(std::uint32_t group, std::initializer_list<tenon_tensor*> in,
                std::array<tenon_tensor*, N>& out) {
    tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, group, 0};
    return ops_.call(&op.hdr, in.begin(), static_cast<std::uint32_t>(in.size()), out.data(), N);
  }

  Status get(const char* key, std::int64_t& out) const {
    std::uint64_t value = 0;
    TENON_SDK_TRY(builder_.get_uint(str_of(prefix_ + key), &value));
    if (value == 0 || value > 1u << 24)
      return tenon::sdk::invalid_argument(prefix_ + key + " is " + std::to_string(value) +
                                          ", outside 1.." + std::to_string(1u << 24));
    out = static_cast<std::int64_t>(value);
    return {};
  }

  Status read_shape() {
    tenon_str architecture;
    TENON_SDK_TRY(builder_.get_string(str_of("general.architecture"), &architecture));
    const std::string name(tenon::sdk::text_of(architecture));
    if (name != "llama")
      return tenon::sdk::unimplemented("architecture \"" + name +
                                       "\" is not known to tenon.model.decoder; known: llama");
    prefix_ = name + ".";
    TENON_SDK_TRY(get("block_count", shape_.layers));
    TENON_SDK_TRY(get("embedding_length", shape_.width));
    TENON_SDK_TRY(get("feed_forward_length", shape_.feed_forward));
    TENON_SDK_TRY(get("attention.head_count", shape_.q_heads));
    shape_.kv_heads = shape_.q_heads;
    if (builder_.has_key(str_of(prefix_ + "attention.head_count_kv")))
      TENON_SDK_TRY(get("attention.head_count_kv", shape_.kv_heads));
    TENON_SDK_TRY(get("context_length", shape_.context));
    TENON_SDK_TRY(
        builder_.get_float(str_of(prefix_ + "attention.layer_norm_rms_epsilon"), &shape_.norm_eps));
    if (builder_.has_key(str_of(prefix_ + "rope.freq_base")))
      TENON_SDK_TRY(builder_.get_float(str_of(prefix_ + "rope.freq_base"), &shape_.rope_base));
    return check_heads();
  }

  Status check_heads() {
    if (shape_.width % shape_.q_heads != 0 || shape_.q_heads % shape_.kv_heads != 0)
      return tenon::sdk::invalid_argument(
          "heads do not divide: width " + std::to_string(shape_.width) + ", query heads " +
          std::to_string(shape_.q_heads) + ", key-value heads " + std::to_string(shape_.kv_heads));
    shape_.head_dim = shape_.rope_dims = shape_.width / shape_.q_heads;
    if (builder_.has_key(str_of(prefix_ + "attention.key_length")))
      TENON_SDK_TRY(get("attention.key_length", shape_.head_dim));
    if (builder_.has_key(str_of(prefix_ + "rope.dimension_count")))
      TENON_SDK_TRY(get("rope.dimension_count", shape_.rope_dims));
    std::int64_t n = 0, k = 0;
    const bool scaled = builder_.has_key(str_of(prefix_ + "rope.scaling.type")) != 0 ||
                        builder_.tensor_shape(str_of("rope_freqs.weight"), &n, &k) != 0;
    if (scaled)
      return tenon::sdk::unimplemented(
          "scaled rope is not known to tenon.model.decoder; known: plain rope");
    if (shape_.rope_dims > shape_.head_dim || shape_.rope_dims % 2 != 0)
      return tenon::sdk::invalid_argument(prefix_ + "rope.dimension_count is " +
                                          std::to_string(shape_.rope_dims) + ", heads have " +
                                          std::to_string(shape_.head_dim));
    return {};
  }

  Status declare_stream() {
    std::int64_t width = 0;
    if (!builder_.tensor_shape(str_of("token_embd.weight"), &shape_.vocabulary, &width))
      return tenon::sdk::invalid_argument("the file has no tensor \"token_embd.weight\"");
    TENON_SDK_TRY(
        builder_.site(str_of("token_embd.weight"), shape_.vocabulary, shape_.width, &embedding_));
    tenon_decoder decoder{{sizeof decoder, 0, nullptr},
                          static_cast<std::int32_t>(shape_.layers),
                          static_cast<std::int32_t>(shape_.width),
                          static_cast<std::int32_t>(shape_.vocabulary),
                          static_cast<std::int32_t>(shape_.context)};
    TENON_SDK_TRY(builder_.decoder(&decoder));
    tenon_attention_geometry geometry{};
    geometry.hdr = {sizeof geometry, 0, nullptr};
    geometry.layers = decoder.layers;
    geometry.q_heads = static_cast<std::int32_t>(shape_.q_heads);
    geometry.kv_heads = static_cast<std::int32_t>(shape_.kv_heads);
    geometry.head_dim = static_cast<std::int32_t>(shape_.head_dim);
    geometry.rope_style =
        TENON_ROPE_STYLE_ADJACENT;  // GGUF converters permute Q and K of this family for it
    geometry.rope_dims = static_cast<std::int32_t>(shape_.rope_dims);
    geometry.rope_base = shape_.rope_base;
    geometry.scale = 1.0 / std::sqrt(static_cast<double>(shape_.head_dim));
    return builder_.attention(&geometry);
  }

  Status group(std::int32_t norm, tenon_epilogue epilogue,
               std::initializer_list<std::uint32_t> weights, std::uint32_t& out) {
    const tenon_linear_group record{{sizeof record, 0, nullptr},
                                    0,
                                    epilogue,
                                    norm,
                                    static_cast<std::uint32_t>(weights.size()),
                                    shape_.norm_eps,
                                    weights.begin()};
    return builder_.linear_group(&record, &out);
  }

  Status declare_layer(const std::string& name, Layer& layer) {
    const std::int64_t q = shape_.q_heads * shape_.head_dim, kv = shape_.kv_heads * shape_.head_dim;
    std::uint32_t norm1, norm2, w_q, w_k, w_v, w_o, w_gate, w_up, w_down;
    TENON_SDK_TRY(builder_.param(str_of(name + "attn_norm.weight"), shape_.width, &norm1));
    TENON_SDK_TRY(builder_.param(str_of(name + "ffn_norm.weight"), shape_.width, &norm2));
    TENON_SDK_TRY(builder_.site(str_of(name + "attn_q.weight"), q, shape_.width, &w_q));
    TENON_SDK_TRY(builder_.site(str_of(name + "attn_k.weight"), kv, shape_.width, &w_k));
    TENON_SDK_TRY(builder_.site(str_of(name + "attn_v.weight"), kv, shape_.width, &w_v));
    TENON_SDK_TRY(builder_.site(str_of(name + "attn_output.weight"), shape_.width, q, &w_o));
    TENON_SDK_TRY(builder_.site(str_of(name + "ffn_gate.weight"), shape_.feed_forward, shape_.width,
                                &w_gate));
    TENON_SDK_TRY(
        builder_.site(str_of(name + "ffn_up.weight"), shape_.feed_forward, shape_.width, &w_up));
    TENON_SDK_TRY(builder_.site(str_of(name + "ffn_down.weight"), shape_.width, shape_.feed_forward,
                                &w_down));
    TENON_SDK_TRY(
        group(static_cast<std::int32_t>(norm1), TENON_EPILOGUE_NONE, {w_q, w_k, w_v}, layer.qkv));
    TENON_SDK_TRY(group(-1, TENON_EPILOGUE_RESIDUAL, {w_o}, layer.out));
    TENON_SDK_TRY(group(static_cast<std::int32_t>(norm2), TENON_EPILOGUE_SILU_MUL, {w_gate, w_up},
                        layer.gate_up));
    TENON_SDK_TRY(group(-1, TENON_EPILOGUE_RESIDUAL, {w_down}, layer.down));
    TENON_SDK_TRY(builder_.port(str_of(name + "after_attention"), &layer.after_attention));
    return builder_.port(str_of(name + "after_feed_forward"), &layer.after_feed_forward);
  }

  Status declare_head() {
    std::uint32_t norm, output = embedding_;
    std::int64_t n = 0, k = 0;
    TENON_SDK_TRY(builder_.param(str_of("output_norm.weight"), shape_.width, &norm));
    if (builder_.tensor_shape(str_of("output.weight"), &n, &k))
      TENON_SDK_TRY(
          builder_.site(str_of("output.weight"), shape_.vocabulary, shape_.width, &output));
    return group(static_cast<std::int32_t>(norm), TENON_EPILOGUE_NONE, {output}, head_);
  }

  tenon::sdk::BuilderService builder_;
  tenon::sdk::OpsService ops_;
  std::string prefix_;
  Shape shape_;
  std::uint32_t embedding_ = 0, head_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace

TENON_PLUGIN(Decoder, TENON_MODEL_ID, ModelTable);
