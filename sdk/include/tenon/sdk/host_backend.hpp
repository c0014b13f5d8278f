// What a backend does whose device is the host and whose numbers are plain floats: memory, weights
// as floats, KV pages as floats, the records of prepared ops, and the three small ops. A backend
// derives from it and writes the two ops that cost time, linear_group and attend; whatever else it
// declares itself is used instead of what stands here.
//
//   struct Mine : HostBackend<Mine> {
//     static constexpr const char* kDevice = "host", *kNumerics = "org.example.mine/1";
//     Mine(const Host& host, const Params&) : HostBackend(host) {}
//     Status linear_group(const tenon_op_linear_group& op, const tenon_view* in, const tenon_view*
//     out); Status attend(const tenon_op_attend& op, const tenon_view* in, const tenon_view* out);
//   };
//
// A call is complete when it returns. Commands of others on the engine's threads, such as a sum
// over ranks, are waited for first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "tenon/abi/contract.h"
#include "tenon/sdk/parallel.hpp"
#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/rope.hpp"
#include "tenon/sdk/row_fault.hpp"
#include "tenon/sdk/sample.hpp"
#include "tenon/sdk/unpacked.hpp"

namespace tenon::sdk {

// A weight [n, k] as floats.
struct FloatWeight {
  std::int64_t n = 0, k = 0;
  std::vector<float> values;
  const float* row(std::int64_t i) const { return values.data() + i * k; }
};

// The weight's rows, in floats. A group's scale and min are those of its layout.
inline void read_floats(const tenon_weight& in, FloatWeight& out) {
  out.n = in.n;
  out.k = in.k;
  out.values.resize(static_cast<std::size_t>(in.n * in.k));
  if (in.layout == TENON_LAYOUT_F32)
    return in.read_rows(in.ctx, 0, in.n, out.values.data(), nullptr, nullptr);
  const std::int64_t group = in.layout == TENON_LAYOUT_Q8N16 ? TENON_GROUP_FINE : TENON_GROUP;
  std::vector<std::int8_t> values(static_cast<std::size_t>(in.k));
  std::vector<float> scales(static_cast<std::size_t>(in.k / group)), mins(scales.size());
  for (std::int64_t row = 0; row < in.n; ++row) {
    in.read_rows(in.ctx, row, 1, values.data(), scales.data(),
                 in.has_min != 0 ? mins.data() : nullptr);
    for (std::int64_t i = 0; i < in.k; ++i) {
      const auto g = static_cast<std::size_t>(i / group);
      out.values[static_cast<std::size_t>(row * in.k + i)] =
          scales[g] * values[static_cast<std::size_t>(i)] + (in.has_min != 0 ? mins[g] : 0.0f);
    }
  }
}

template <class Derived>
class HostBackend : public Unpacked {
 public:
  explicit HostBackend(const Host& host)
      : threads_(host.required<tenon_threads_v1>(TENON_THREADS_ID)) {}

  Status describe(tenon_backend_info* out) const {
    out->device = str_of(Derived::kDevice);
    out->numerics = str_of(Derived::kNumerics);
    out->activation = {2, 32, 1};
    out->memory = {1, 0};
    return {};
  }

  Status allocate(std::uint64_t bytes, void** out) {
    *out = ::operator new (bytes, std::align_val_t{64}, std::nothrow);
    if (*out != nullptr) return {};
    return {TENON_RESOURCE_EXHAUSTED, "no memory for " + std::to_string(bytes) + " bytes"};
  }
  void free(void* memory) { ::operator delete (memory, std::align_val_t{64}); }
  Status write(void* to, const void* from, std::uint64_t bytes) {
    threads_.wait();
    std::memcpy(to, from, bytes);
    return {};
  }
  Status read(const void* from, void* to, std::uint64_t bytes) { return write(to, from, bytes); }

  Status load_weight(const tenon_weight* in) {
    if (weights_.size() <= in->id) weights_.resize(in->id + 1);
    read_floats(*in, weights_[in->id]);
    return {};
  }
  void free_weight(std::uint32_t id) {
    if (id < weights_.size()) weights_[id] = {};
  }

  Status prepare_linear_group(const tenon_linear_group* in) {
    if (groups_.size() <= in->id) groups_.resize(in->id + 1);
    groups_[in->id] = {static_cast<tenon_epilogue>(in->epilogue),
                       in->norm,
                       in->post_norm,
                       static_cast<float>(in->norm_eps),
                       {in->weights, in->weights + in->n_weights}};
    return {};
  }

  Status prepare_attend(const tenon_attend_prepare* in) {
    geometry_ = *in->geometry;
    layers_.assign(geometry_.of_layer, geometry_.of_layer + geometry_.layers);
    geometry_.of_layer = layers_.data();
    spec_of_layer_.assign(in->spec_of_layer, in->spec_of_layer + geometry_.layers);
    for (std::int32_t i = 0; i < geometry_.layers; ++i) {
      const double base = layers_[static_cast<std::size_t>(i)].rope_base;
      rope_of_layer_.push_back(&rope_.try_emplace(base, *in, i).first->second);
    }
    for (std::uint32_t i = 0; i < in->n_specs; ++i) pools_.push_back({in->specs[i], {}});
    return {};
  }

  std::uint64_t kv_page_bytes(std::uint32_t spec) const {
    return pools_[spec].page_values() * sizeof(float);
  }
  Status kv_create(std::uint32_t spec, std::uint32_t n_pages) {
    pools_[spec].values.assign(pools_[spec].page_values() * n_pages, 0.0f);
    return {};
  }
  Status kv_copy_page(std::uint32_t spec, std::uint32_t from, std::uint32_t to) {
    std::copy_n(pools_[spec].page(from), pools_[spec].page_values(), pools_[spec].page(to));
    return {};
  }
  Status kv_poison_page(std::uint32_t spec, std::uint32_t page) {
    std::fill_n(pools_[spec].page(page), pools_[spec].page_values(),
                std::numeric_limits<float>::quiet_NaN());
    return {};
  }

  Status call(const tenon_hdr* op, const tenon_view* in, std::uint32_t, const tenon_view* out,
              std::uint32_t) {
    threads_.wait();
    auto& self = static_cast<Derived&>(*this);
    switch (op->type) {
      case TENON_OP_GATHER:
        return self.gather(*reinterpret_cast<const tenon_op_gather*>(op), in, out);
      case TENON_OP_LINEAR_GROUP:
        for (std::int64_t r = 0; r < in[0].shape[0]; ++r)
          if (!all_finite(row_of(in[0], r), in[0].shape[1]))
            faults_.note(reinterpret_cast<const tenon_op_linear_group*>(op)->group, r);
        return self.linear_group(*reinterpret_cast<const tenon_op_linear_group*>(op), in, out);
      case TENON_OP_ATTEND: {
        const auto& attend = *reinterpret_cast<const tenon_op_attend*>(op);
        rope_of_layer_[static_cast<std::size_t>(attend.layer)]->reach_and_fill(
            end_of(*attend.batch));
        return self.attend(attend, in, out);
      }
      case TENON_OP_ADD:
        return self.add(*reinterpret_cast<const tenon_op_add*>(op), in, out);
      case TENON_OP_SAMPLE:
        return self.sample(*reinterpret_cast<const tenon_op_sample*>(op), in);
      default:
        return unimplemented("op " + std::to_string(op->type));
    }
  }
  Status sync() {
    threads_.wait();
    return {};
  }
  Status take_fault(tenon_row_fault* out) {
    faults_.take(out);
    return {};
  }

  Status gather(const tenon_op_gather& op, const tenon_view* in, const tenon_view* out) {
    const auto* ids = static_cast<const std::int32_t*>(in[0].data);
    const std::int64_t rows = in[0].shape[0], values = out[0].shape[1];
    const FloatWeight* table = op.weight >= 0 ? &weight(op.weight) : nullptr;
    const std::int64_t limit = table != nullptr ? table->n : in[1].shape[0];
    for (std::int64_t i = 0; i < rows; ++i)
      if (ids[i] < 0 || ids[i] >= limit)
        return invalid_argument("gather: id " + std::to_string(ids[i]) + " of " +
                                std::to_string(limit));
    const float scale = table != nullptr ? static_cast<float>(op.scale) : 1.0f;
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* from = table != nullptr ? table->row(ids[i]) : row_of(in[1], ids[i]);
      for (std::int64_t c = 0; c < values; ++c) row_of(out[0], i)[c] = from[c] * scale;
    }
    return {};
  }

  Status add(const tenon_op_add& op, const tenon_view* in, const tenon_view* out) {
    const std::int64_t n = out[0].shape[1];
    for (std::int64_t r = 0; r < out[0].shape[0]; ++r) {
      const float* x = row_of(in[0], r);
      float* y = row_of(out[0], r);
      norm_row(op.norm, static_cast<float>(op.norm_eps), x, n, y);
      for (std::int64_t i = 0; i < n; ++i) y[i] = row_of(in[1], r)[i] + y[i];
    }
    return {};
  }

  Status sample(const tenon_op_sample& op, const tenon_view* in) {
    for (std::int64_t r = 0; r < in[0].shape[0]; ++r)
      sample_row(row_of(in[0], r), in[0].shape[1], op.rows[r], scratch_, op.results[r]);
    return {};
  }

 protected:
  // A prepared group of products: y_i = epilogue(W_i norm(x)).
  struct Group {
    tenon_epilogue epilogue;
    std::int32_t norm, post_norm;  // weight ids, or -1
    float norm_eps;
    std::vector<std::uint32_t> weights;
  };
  // The pages of one cache spec: [page, layer, K|V, kv head, 64, head_dim].
  struct KvPool {
    tenon_cache_spec spec;
    std::vector<float> values;
    std::size_t head_values() const {
      return std::size_t{TENON_PAGE_TOKENS} * static_cast<std::size_t>(spec.head_dim);
    }
    std::size_t page_values() const {
      return 2 * static_cast<std::size_t>(spec.layers) * static_cast<std::size_t>(spec.kv_heads) *
             head_values();
    }
    float* page(std::uint32_t id) { return values.data() + page_values() * id; }
  };

  static float* row_of(const tenon_view& view, std::int64_t row) {
    return static_cast<float*>(view.data) + row * view.strides[0];
  }
  const FloatWeight& weight(std::int32_t id) const {
    return weights_[static_cast<std::size_t>(id)];
  }
  const Group& group(std::uint32_t id) const { return groups_[id]; }

  // out = x normed by the weight `norm`, or x for -1. out may be x.
  void norm_row(std::int32_t norm, float eps, const float* x, std::int64_t n, float* out) const {
    if (norm < 0) {
      if (out != x) std::copy_n(x, n, out);
      return;
    }
    const float r = 1 / std::sqrt(tenon_sum_squares16(x, n) / static_cast<float>(n) + eps);
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = x[i] * r * weight(norm).values[static_cast<std::size_t>(i)];
  }

  // What an adapter adds to the product of `weight` in `row`; null: nothing.
  static const tenon_low_rank* delta_of(const tenon_op_linear_group& op, std::size_t weight,
                                        std::int64_t row) {
    for (std::int32_t i = 0; i < op.n_deltas; ++i) {
      const tenon_row_deltas& deltas = op.deltas[i];
      if (row >= deltas.row && row < deltas.row + deltas.n_rows)
        return deltas.of_weight[weight].rank > 0 ? &deltas.of_weight[weight] : nullptr;
    }
    return nullptr;
  }

  // A head of a layer's attention, normed where the layer says so, then turned to its position.
  // norm: the layer's q_norm or k_norm.
  void turn_head(std::int32_t layer, std::int32_t norm, std::int64_t position, float* head) const {
    norm_row(norm, static_cast<float>(geometry_.norm_eps), head, geometry_.head_dim, head);
    if (geometry_.rope_style == TENON_ROPE_STYLE_NONE) return;
    const std::int32_t half = geometry_.rope_dims / 2;
    const float* cos_sin =
        rope_of_layer_[static_cast<std::size_t>(layer)]->row(static_cast<std::int32_t>(position));
    const bool adjacent = geometry_.rope_style == TENON_ROPE_STYLE_ADJACENT;
    for (std::int32_t i = 0; i < half; ++i) {
      float& a = adjacent ? head[2 * i] : head[i];
      float& b = adjacent ? head[2 * i + 1] : head[i + half];
      const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], x = a, y = b;
      a = x * c - y * s;
      b = x * s + y * c;
    }
  }

  // K (0) or V (1) of a page of the op's layer, one key-value head: [64, head_dim].
  float* tile(const tenon_op_attend& op, std::uint32_t page, int v, std::int32_t head) {
    KvPool& pool =
        pools_[static_cast<std::size_t>(spec_of_layer_[static_cast<std::size_t>(op.layer)])];
    const auto heads = static_cast<std::size_t>(pool.spec.kv_heads);
    const std::size_t index =
        (static_cast<std::size_t>(op.spec_layer) * 2 + static_cast<std::size_t>(v)) * heads +
        static_cast<std::size_t>(head);
    return pool.page(page) + index * pool.head_values();
  }

  ThreadsService threads_;
  tenon_attention_geometry geometry_{};

 private:
  std::vector<FloatWeight> weights_;
  std::vector<Group> groups_;
  std::vector<tenon_attention_layer> layers_;
  std::vector<std::int32_t> spec_of_layer_;
  std::map<double, RopeTable<float>> rope_;  // by base
  std::vector<RopeTable<float>*> rope_of_layer_;
  std::vector<KvPool> pools_;  // by spec
  SampleScratch scratch_;
  RowFaults faults_;
};

}  // namespace tenon::sdk
