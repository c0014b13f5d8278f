// Decoder-only transformers with pre-norms, grouped-query attention with rope and a gated
// feed-forward:
//
//   h   = x + p1(W_o attention(W_q n1(x), W_k n1(x), W_v n1(x)))
//   out = h + p2(W_down (g(W_gate n2(h)) * W_up n2(h)))
//
// Llama: g = silu, no p1 and p2. Gemma 3: g = gelu, p1 and p2 are RMS norms, queries and keys are
// normed by head, embeddings are scaled by sqrt(width), and five of six layers attend to a window.
//
// Everything is said in prepared groups of sites, so that a backend fuses the norm, the products
// and what follows them.
#include <cmath>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/tensor.hpp"

namespace {

using tenon::sdk::Status;
using tenon::sdk::str_of;
using tenon::sdk::Tensors;

struct Layer {
  std::uint32_t qkv, out, gate_up, down;              // prepared groups
  std::uint32_t after_attention, after_feed_forward;  // ports
};

// What tells the families apart.
struct Family {
  std::string_view name;
  tenon_epilogue gate;
  tenon_rope_style rope;
  bool paired_heads;  // the converter reorders rows of Q and K for adjacent rope
  bool gemma_norms;   // p1, p2, norms of query and key heads
  bool scaled_embedding;
  std::int64_t global_every;  // with a window in the file: layer i reads everything when
                              // (i + 1) % global_every == 0; 0: every layer does
};
constexpr Family kFamilies[] = {
    {"llama", TENON_EPILOGUE_SILU_MUL, TENON_ROPE_STYLE_ADJACENT, true, false, false, 0},
    {"gemma3", TENON_EPILOGUE_GELU_MUL, TENON_ROPE_STYLE_HALF, false, true, true, 6},
};
constexpr double kLocalRopeBase = 10000;  // of Gemma 3's window layers; not in the file

struct Shape {
  std::int64_t layers = 0, width = 0, feed_forward = 0, q_heads = 0, kv_heads = 0, context = 0,
               vocabulary = 0;
  std::int64_t head_dim = 0, rope_dims = 0, window = 0;
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
    std::vector<tenon_attention_layer> attention(layers_.size());
    for (std::size_t i = 0; i < layers_.size(); ++i)
      TENON_SDK_TRY(declare_layer(i, layers_[i], attention[i]));
    TENON_SDK_TRY(declare_attention(attention));
    return declare_head();
  }

  Status embed(tenon_tensor* ids, tenon_tensor** out) {
    tenon_op_gather op{
        {sizeof op, TENON_OP_GATHER, nullptr},
        static_cast<std::int32_t>(embedding_),
        0,
        family_->scaled_embedding ? std::sqrt(static_cast<double>(shape_.width)) : 1.0};
    return ops_.call(&op.hdr, &ids, 1, out, 1);
  }

  Status layer(std::int32_t index, tenon_tensor* x, tenon_tensor** out) {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    Tensors mixed(ops_), h(ops_), gated(ops_), y(ops_);
    {
      Tensors<3> qkv(ops_);
      TENON_SDK_TRY(linear(layer.qkv, {x}, qkv));
      TENON_SDK_TRY(ops_.attention(index, qkv[0], qkv[1], qkv[2], mixed.out()));
    }
    TENON_SDK_TRY(linear(layer.out, {mixed[0], x}, h));
    mixed.release();
    ops_.port(layer.after_attention, h[0]);

    TENON_SDK_TRY(linear(layer.gate_up, {h[0]}, gated));
    TENON_SDK_TRY(linear(layer.down, {gated[0], h[0]}, y));
    ops_.port(layer.after_feed_forward, y[0]);
    *out = y.take();
    return {};
  }

  Status head(tenon_tensor* x, tenon_tensor** out) {
    Tensors logits(ops_);
    TENON_SDK_TRY(linear(head_, {x}, logits));
    *out = logits.take();
    return {};
  }

 private:
  template <std::size_t N>
  Status linear(std::uint32_t group, std::initializer_list<tenon_tensor*> in, Tensors<N>& out) {
    tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, group, 0, nullptr};
    return ops_.call(&op.hdr, in.begin(), static_cast<std::uint32_t>(in.size()), out.out(), N);
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
    std::string known;
    for (const Family& family : kFamilies) {
      if (family.name == name) family_ = &family;
      known += (known.empty() ? "" : ", ") + std::string(family.name);
    }
    if (family_ == nullptr)
      return tenon::sdk::unimplemented("architecture \"" + name +
                                       "\" is not known to tenon.model.decoder; known: " + known);
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
    if (family_->global_every > 0 && builder_.has_key(str_of(prefix_ + "attention.sliding_window")))
      TENON_SDK_TRY(get("attention.sliding_window", shape_.window));
    return check_heads();
  }

  Status check_heads() {
    const bool own_length = builder_.has_key(str_of(prefix_ + "attention.key_length")) != 0;
    if ((!own_length && shape_.width % shape_.q_heads != 0) ||
        shape_.q_heads % shape_.kv_heads != 0)
      return tenon::sdk::invalid_argument(
          "heads do not divide: width " + std::to_string(shape_.width) + ", query heads " +
          std::to_string(shape_.q_heads) + ", key-value heads " + std::to_string(shape_.kv_heads));
    shape_.head_dim = shape_.width / shape_.q_heads;
    if (own_length) TENON_SDK_TRY(get("attention.key_length", shape_.head_dim));
    if (builder_.has_key(str_of(prefix_ + "attention.value_length"))) {
      std::int64_t value_length = 0;
      TENON_SDK_TRY(get("attention.value_length", value_length));
      if (value_length != shape_.head_dim)
        return tenon::sdk::unimplemented("values of " + std::to_string(value_length) +
                                         " beside keys of " + std::to_string(shape_.head_dim));
    }
    shape_.rope_dims = shape_.head_dim;
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
    std::int64_t n = 0, k = 0;
    const bool tied = builder_.tensor_shape(str_of("output.weight"), &n, &k) == 0;
    TENON_SDK_TRY(
        site({"token_embd", tied ? "lm_head" : "", shape_.vocabulary, shape_.width}, embedding_));
    tenon_decoder decoder{{sizeof decoder, 0, nullptr},
                          static_cast<std::int32_t>(shape_.layers),
                          static_cast<std::int32_t>(shape_.width),
                          static_cast<std::int32_t>(shape_.vocabulary),
                          static_cast<std::int32_t>(shape_.context),
                          static_cast<std::int32_t>(shape_.feed_forward),
                          0};
    return builder_.decoder(&decoder);
  }

  Status declare_attention(const std::vector<tenon_attention_layer>& layers) {
    tenon_attention_geometry geometry{};
    geometry.hdr = {sizeof geometry, 0, nullptr};
    geometry.layers = static_cast<std::int32_t>(shape_.layers);
    geometry.q_heads = static_cast<std::int32_t>(shape_.q_heads);
    geometry.kv_heads = static_cast<std::int32_t>(shape_.kv_heads);
    geometry.head_dim = static_cast<std::int32_t>(shape_.head_dim);
    geometry.rope_style = family_->rope;
    geometry.rope_dims = static_cast<std::int32_t>(shape_.rope_dims);
    geometry.scale = 1.0 / std::sqrt(static_cast<double>(shape_.head_dim));
    geometry.norm_eps = shape_.norm_eps;
    geometry.of_layer = layers.data();
    return builder_.attention(&geometry);
  }

  struct Site {
    std::string name, module;  // without ".weight"
    std::int64_t n, k;
    tenon_split split_n = TENON_SPLIT_NONE, split_k = TENON_SPLIT_NONE;
    std::int64_t paired_heads = 0;
  };
  Status site(const Site& s, std::uint32_t& out) {
    const std::string name = s.name + ".weight";
    const tenon_site record{{sizeof record, 0, nullptr},
                            str_of(name),
                            str_of(s.module),
                            s.n,
                            s.k,
                            s.split_n,
                            s.split_k,
                            family_->paired_heads ? static_cast<std::int32_t>(s.paired_heads) : 0,
                            0};
    return builder_.site(&record, &out);
  }

  // The RMS norm's scale of that name.
  Status norm(const std::string& name, std::int64_t n, std::int32_t& out) {
    std::uint32_t id = 0;
    TENON_SDK_TRY(builder_.param(str_of(name + ".weight"), n, &id));
    out = static_cast<std::int32_t>(id);
    return {};
  }

  Status group(std::int32_t norm, tenon_epilogue epilogue, std::int32_t post_norm,
               std::initializer_list<std::uint32_t> weights, std::uint32_t& out) {
    const tenon_linear_group record{{sizeof record, 0, nullptr},
                                    0,
                                    epilogue,
                                    norm,
                                    static_cast<std::uint32_t>(weights.size()),
                                    shape_.norm_eps,
                                    weights.begin(),
                                    post_norm,
                                    0};
    return builder_.linear_group(&record, &out);
  }

  Status declare_layer(std::size_t index, Layer& layer, tenon_attention_layer& attention) {
    const std::string name = "blk." + std::to_string(index) + ".",
                      module = "model.layers." + std::to_string(index) + ".";
    const bool local =
        shape_.window > 0 && (static_cast<std::int64_t>(index) + 1) % family_->global_every != 0;
    attention = {local ? kLocalRopeBase : shape_.rope_base,
                 local ? static_cast<std::int32_t>(shape_.window) : 0, -1, -1, 0};
    TENON_SDK_TRY(declare_attention_block(name, module + "self_attn.", layer, attention));
    TENON_SDK_TRY(declare_feed_forward(name, module + "mlp.", layer));
    TENON_SDK_TRY(builder_.port(str_of(name + "after_attention"), &layer.after_attention));
    return builder_.port(str_of(name + "after_feed_forward"), &layer.after_feed_forward);
  }

  Status declare_attention_block(const std::string& name, const std::string& module, Layer& layer,
                                 tenon_attention_layer& attention) {
    const std::int64_t q = shape_.q_heads * shape_.head_dim, kv = shape_.kv_heads * shape_.head_dim,
                       d = shape_.width;
    std::int32_t before = -1, after = -1;
    std::uint32_t w_q, w_k, w_v, w_o;
    TENON_SDK_TRY(norm(name + "attn_norm", d, before));
    if (family_->gemma_norms) {
      TENON_SDK_TRY(norm(name + "post_attention_norm", d, after));
      TENON_SDK_TRY(norm(name + "attn_q_norm", shape_.head_dim, attention.q_norm));
      TENON_SDK_TRY(norm(name + "attn_k_norm", shape_.head_dim, attention.k_norm));
    }
    TENON_SDK_TRY(site({name + "attn_q", module + "q_proj", q, d, TENON_SPLIT_Q_HEADS,
                        TENON_SPLIT_NONE, shape_.q_heads},
                       w_q));
    TENON_SDK_TRY(site({name + "attn_k", module + "k_proj", kv, d, TENON_SPLIT_KV_HEADS,
                        TENON_SPLIT_NONE, shape_.kv_heads},
                       w_k));
    TENON_SDK_TRY(site({name + "attn_v", module + "v_proj", kv, d, TENON_SPLIT_KV_HEADS}, w_v));
    TENON_SDK_TRY(
        site({name + "attn_output", module + "o_proj", d, q, TENON_SPLIT_NONE, TENON_SPLIT_Q_HEADS},
             w_o));
    TENON_SDK_TRY(group(before, TENON_EPILOGUE_NONE, -1, {w_q, w_k, w_v}, layer.qkv));
    return group(-1, TENON_EPILOGUE_RESIDUAL, after, {w_o}, layer.out);
  }

  Status declare_feed_forward(const std::string& name, const std::string& module, Layer& layer) {
    const std::int64_t d = shape_.width, inner = shape_.feed_forward;
    std::int32_t before = -1, after = -1;
    std::uint32_t gate, up, down;
    TENON_SDK_TRY(norm(name + "ffn_norm", d, before));
    if (family_->gemma_norms) TENON_SDK_TRY(norm(name + "post_ffw_norm", d, after));
    TENON_SDK_TRY(
        site({name + "ffn_gate", module + "gate_proj", inner, d, TENON_SPLIT_FEED_FORWARD}, gate));
    TENON_SDK_TRY(
        site({name + "ffn_up", module + "up_proj", inner, d, TENON_SPLIT_FEED_FORWARD}, up));
    TENON_SDK_TRY(site({name + "ffn_down", module + "down_proj", d, inner, TENON_SPLIT_NONE,
                        TENON_SPLIT_FEED_FORWARD},
                       down));
    TENON_SDK_TRY(group(before, family_->gate, -1, {gate, up}, layer.gate_up));
    return group(-1, TENON_EPILOGUE_RESIDUAL, after, {down}, layer.down);
  }

  Status declare_head() {
    std::int32_t before = -1;
    std::uint32_t output = embedding_;
    std::int64_t n = 0, k = 0;
    TENON_SDK_TRY(norm("output_norm", shape_.width, before));
    if (builder_.tensor_shape(str_of("output.weight"), &n, &k))
      TENON_SDK_TRY(site({"output", "lm_head", shape_.vocabulary, shape_.width}, output));
    return group(before, TENON_EPILOGUE_NONE, -1, {output}, head_);
  }

  tenon::sdk::BuilderService builder_;
  tenon::sdk::OpsService ops_;
  std::string prefix_;
  const Family* family_ = nullptr;
  Shape shape_;
  std::uint32_t embedding_ = 0, head_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace

TENON_PLUGIN(Decoder, TENON_MODEL_ID, ModelTable);
