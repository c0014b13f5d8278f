#include "core/reference/reference.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "core/reference/kernels.h"
#include "tenon/sdk/parallel.hpp"
#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/rope.hpp"
#include "tenon/sdk/row_fault.hpp"
#include "tenon/sdk/sample.hpp"
#include "tenon/sdk/unpacked.hpp"

namespace tenon::reference {
namespace {

using sdk::parallel;
using sdk::Status;

template <class P>
class Backend {
 public:
  using Real = typename P::Real;
  using Kv = typename P::Kv;

  explicit Backend(const sdk::Host& host)
      : threads_(host.required<tenon_threads_v1>(TENON_THREADS_ID)) {}

  Status describe(tenon_backend_info* out) const {
    out->device = sdk::str_of("reference");
    out->numerics = sdk::str_of(P::kNumerics);
    out->activation = {2, sizeof(Real) * 8, 1};
    out->memory = {1, 0};
    return {};
  }

  Status allocate(uint64_t bytes, void** out) {
    *out = ::operator new (bytes, std::align_val_t{64}, std::nothrow);
    return *out != nullptr ? Status() : Status(TENON_RESOURCE_EXHAUSTED, "no memory");
  }
  void free(void* memory) { ::operator delete (memory, std::align_val_t{64}); }
  Status write(void* to, const void* from, uint64_t bytes) {
    return std::memcpy(to, from, bytes), Status();
  }
  Status read(const void* from, void* to, uint64_t bytes) {
    return std::memcpy(to, from, bytes), Status();
  }

  Status load_weight(const tenon_weight* in) {
    if (weights_.size() <= in->id) weights_.resize(in->id + 1);
    Weight& w = weights_[in->id];
    w = {static_cast<tenon_layout>(in->layout), in->n, in->k, in->has_min != 0, {}, {}, {}, {}};
    const auto values = static_cast<std::size_t>(w.n * w.k);
    if (w.layout == TENON_LAYOUT_F32) {
      w.floats.resize(values);
      in->read_rows(in->ctx, 0, w.n, w.floats.data(), nullptr, nullptr);
      if (in->use != TENON_WEIGHT_USE_PRODUCT)
        for (float& value : w.floats) value = P::factor(value);
      return {};
    }
    w.values.resize(values);
    w.scales.resize(values / static_cast<std::size_t>(w.group()));
    w.mins.resize(w.has_min ? w.scales.size() : 0);
    in->read_rows(in->ctx, 0, w.n, w.values.data(), w.scales.data(),
                  w.has_min ? w.mins.data() : nullptr);
    return {};
  }

  void free_weight(uint32_t id) {
    if (id < weights_.size()) weights_[id] = {};
  }

  Status prepare_linear_group(const tenon_linear_group* in) {
    if (groups_.size() <= in->id) groups_.resize(in->id + 1);
    groups_[in->id] = {static_cast<tenon_epilogue>(in->epilogue),
                       in->norm,
                       in->post_norm,
                       in->norm_eps,
                       {in->weights, in->weights + in->n_weights}};
    return {};
  }

  Status prepare_attend(const tenon_attend_prepare* in) {
    geometry_ = *in->geometry;
    layers_.assign(geometry_.of_layer, geometry_.of_layer + geometry_.layers);
    geometry_.of_layer = layers_.data();
    specs_.assign(in->specs, in->specs + in->n_specs);
    spec_of_layer_.assign(in->spec_of_layer, in->spec_of_layer + geometry_.layers);
    for (std::int32_t layer = 0; layer < geometry_.layers; ++layer) {
      const double base = layers_[static_cast<std::size_t>(layer)].rope_base;
      rope_of_layer_.push_back(&rope_.try_emplace(base, *in, layer).first->second);
    }
    pools_.resize(specs_.size());
    return {};
  }

  uint64_t kv_page_bytes(uint32_t spec) const { return page_values(spec) * sizeof(Kv); }
  Status kv_create(uint32_t spec, uint32_t n_pages) {
    pools_[spec].assign(page_values(spec) * n_pages, Kv{});
    return {};
  }
  Status kv_copy_page(uint32_t spec, uint32_t from, uint32_t to) {
    std::copy_n(pools_[spec].begin() + offset(spec, from), page_values(spec),
                pools_[spec].begin() + offset(spec, to));
    return {};
  }
  Status kv_poison_page(uint32_t spec, uint32_t page) {
    std::fill_n(pools_[spec].begin() + offset(spec, page), page_values(spec), P::poison());
    return {};
  }

  Status call(const tenon_hdr* op, const tenon_view* in, uint32_t, const tenon_view* out,
              uint32_t) {
    switch (op->type) {
      case TENON_OP_GATHER:
        return gather(*reinterpret_cast<const tenon_op_gather*>(op), in, out);
      case TENON_OP_LINEAR_GROUP:
        return linear_group(*reinterpret_cast<const tenon_op_linear_group*>(op), in, out);
      case TENON_OP_ATTEND:
        return attend(*reinterpret_cast<const tenon_op_attend*>(op), in, out);
      case TENON_OP_ADD:
        return add(*reinterpret_cast<const tenon_op_add*>(op), in, out);
      case TENON_OP_SAMPLE:
        return sample(*reinterpret_cast<const tenon_op_sample*>(op), in);
      default:
        return sdk::unimplemented("op " + std::to_string(op->type));
    }
  }
  Status sync() { return {}; }
  Status take_fault(tenon_row_fault* out) {
    faults_.take(out);
    return {};
  }

 private:
  struct Group {
    tenon_epilogue epilogue;
    std::int32_t norm, post_norm;
    double norm_eps;
    std::vector<std::uint32_t> weights;
  };

  static Real* row_of(const tenon_view& view, std::int64_t row) {
    return static_cast<Real*>(view.data) + row * view.strides[0];
  }

  Status gather(const tenon_op_gather& op, const tenon_view* in, const tenon_view* out) {
    const auto* ids = static_cast<const std::int32_t*>(in[0].data);
    const std::int64_t rows = in[0].shape[0], values = out[0].shape[1];
    const std::int64_t limit =
        op.weight >= 0 ? weights_[static_cast<std::size_t>(op.weight)].n : in[1].shape[0];
    for (std::int64_t i = 0; i < rows; ++i)
      if (ids[i] < 0 || ids[i] >= limit)
        return sdk::invalid_argument("gather: id " + std::to_string(ids[i]) + " of " +
                                     std::to_string(limit));
    parallel(threads_, rows, [&](std::int64_t i) {
      Real* y = row_of(out[0], i);
      if (op.weight < 0) return void(std::copy_n(row_of(in[1], ids[i]), values, y));
      const Real scale = static_cast<Real>(op.scale);
      for (std::int64_t c = 0; c < values; ++c)
        y[c] = weight_value<P>(weights_[static_cast<std::size_t>(op.weight)], ids[i], c) * scale;
    });
    return {};
  }

  // The rows as the products see them: normed, and for the contract quantised.
  void prepare_rows(std::uint32_t id, const Group& group, const tenon_view& x) {
    const std::int64_t rows = x.shape[0], k = x.shape[1];
    normed_.resize(static_cast<std::size_t>(rows * k));
    quantised_.resize(static_cast<std::size_t>(rows));
    parallel(threads_, rows, [&](std::int64_t r) {
      Real* y = normed_.data() + r * k;
      const Real* source = row_of(x, r);
      if (group.norm < 0)
        std::copy_n(source, k, y);
      else
        norm_row(group.norm, group.norm_eps, source, k, y);
      if (!sdk::all_finite(y, k)) faults_.note(id, r);
      if constexpr (P::kQuantisesActivations)
        if (weights_[group.weights[0]].layout != TENON_LAYOUT_F32)
          quantise_row(y, k, quantised_[static_cast<std::size_t>(r)]);
    });
  }

  Real product(const Weight& w, std::int64_t n, std::int64_t row) const {
    const Real* x = normed_.data() + row * w.k;
    if constexpr (P::kQuantisesActivations)
      return dot_contract(w, n, x, quantised_[static_cast<std::size_t>(row)]);
    else
      return dot_exact(w, n, x);
  }

  void norm_row(std::int32_t norm, double eps, const Real* x, std::int64_t n, Real* out) const {
    rms_norm<Real>(x, weights_[static_cast<std::size_t>(norm)].floats.data(), n,
                   P::sum_squares(x, n), static_cast<Real>(eps), out);
  }

  // scale * B[n, :] (A x), and what is added to y.
  Real with_delta(Real y, const tenon_low_rank& delta, std::int64_t n, std::int64_t row) const {
    const Weight &a = weights_[delta.a], &b = weights_[delta.b];
    const Real* x = normed_.data() + row * a.k;
    Real d = 0;
    for (std::int64_t i = 0; i < delta.rank; ++i) {
      Real t = 0;
      for (std::int64_t c = 0; c < a.k; ++c)
        t = P::fma(a.floats[static_cast<std::size_t>(i * a.k + c)], x[c], t);
      d = P::fma(b.floats[static_cast<std::size_t>(n * b.k + i)], t, d);
    }
    return y + static_cast<Real>(delta.scale) * d;
  }

  static const tenon_row_deltas* deltas_of(const tenon_op_linear_group& op, std::int64_t row) {
    for (std::int32_t i = 0; i < op.n_deltas; ++i)
      if (row >= op.deltas[i].row && row < op.deltas[i].row + op.deltas[i].n_rows)
        return &op.deltas[i];
    return nullptr;
  }

  Real output(const tenon_op_linear_group& op, const Group& group, std::size_t weight,
              std::int64_t n, std::int64_t row) const {
    const Real y = product(weights_[group.weights[weight]], n, row);
    const tenon_row_deltas* deltas = deltas_of(op, row);
    if (deltas == nullptr || deltas->of_weight[weight].rank == 0) return y;
    return with_delta(y, deltas->of_weight[weight], n, row);
  }

  Status linear_group(const tenon_op_linear_group& op, const tenon_view* in,
                      const tenon_view* out) {
    const Group& group = groups_[op.group];
    prepare_rows(op.group, group, in[0]);
    const std::int64_t rows = in[0].shape[0];
    const bool silu = group.epilogue == TENON_EPILOGUE_SILU_MUL,
               gated = silu || group.epilogue == TENON_EPILOGUE_GELU_MUL;
    const bool residual = group.epilogue == TENON_EPILOGUE_RESIDUAL;
    for (std::size_t i = 0; i < (gated ? 1 : group.weights.size()); ++i) {
      parallel(threads_, weights_[group.weights[i]].n, [&](std::int64_t n) {
        for (std::int64_t r = 0; r < rows; ++r) {
          Real y = output(op, group, i, n, r);
          if (gated) y = (silu ? P::silu(y) : P::gelu(y)) * output(op, group, 1, n, r);
          if (residual && group.post_norm < 0) y = row_of(in[1], r)[n] + y;
          row_of(out[i], r)[n] = y;
        }
      });
    }
    if (residual && group.post_norm >= 0)
      return add_rows(group.post_norm, group.norm_eps, out[0], in[1], out[0]);
    return {};
  }

  // out = r + x, or r + norm(x); out may be x.
  Status add_rows(std::int32_t norm, double eps, const tenon_view& x, const tenon_view& r,
                  const tenon_view& out) {
    const std::int64_t n = out.shape[1];
    parallel(threads_, out.shape[0], [&](std::int64_t row) {
      std::vector<Real> y(row_of(x, row), row_of(x, row) + n);
      if (norm >= 0) norm_row(norm, eps, row_of(x, row), n, y.data());
      for (std::int64_t i = 0; i < n; ++i)
        row_of(out, row)[i] = row_of(r, row)[i] + y[static_cast<std::size_t>(i)];
    });
    return {};
  }

  Status add(const tenon_op_add& op, const tenon_view* in, const tenon_view* out) {
    return add_rows(op.norm, op.norm_eps, in[0], in[1], out[0]);
  }

  std::size_t page_values(std::uint32_t spec) const {
    const tenon_cache_spec& s = specs_[spec];
    return std::size_t{2} * TENON_PAGE_TOKENS * static_cast<std::size_t>(s.layers) *
           static_cast<std::size_t>(s.kv_heads) * static_cast<std::size_t>(s.head_dim);
  }
  std::ptrdiff_t offset(std::uint32_t spec, std::uint32_t page) const {
    return static_cast<std::ptrdiff_t>(page_values(spec) * page);
  }

  // [64, head_dim] of one page, layer, K (0) or V (1), head.
  Kv* tile(std::uint32_t spec, std::uint32_t page, int layer, int v, int head) {
    const tenon_cache_spec& s = specs_[spec];
    const std::size_t index = (static_cast<std::size_t>(layer) * 2 + static_cast<std::size_t>(v)) *
                                  static_cast<std::size_t>(s.kv_heads) +
                              static_cast<std::size_t>(head);
    return pools_[spec].data() + offset(spec, page) +
           static_cast<std::ptrdiff_t>(index * TENON_PAGE_TOKENS *
                                       static_cast<std::size_t>(s.head_dim));
  }

  // Heads of a row, normed where the layer says so, then turned.
  void turn(std::int32_t layer, std::int32_t norm, Real* heads, int n_heads,
            std::int64_t position) const {
    for (int h = 0; norm >= 0 && h < n_heads; ++h)
      norm_row(norm, geometry_.norm_eps, heads + h * geometry_.head_dim, geometry_.head_dim,
               heads + h * geometry_.head_dim);
    if (geometry_.rope_style == TENON_ROPE_STYLE_NONE) return;
    const Real* cos_sin =
        rope_of_layer_[static_cast<std::size_t>(layer)]->row(static_cast<std::int32_t>(position));
    for (int h = 0; h < n_heads; ++h)
      rope<P>(heads + h * geometry_.head_dim, cos_sin, geometry_.rope_dims,
              static_cast<tenon_rope_style>(geometry_.rope_style));
  }

  void store_row(const tenon_op_attend& op, const tenon_view* in,
                 const tenon_sequence_rows& sequence, std::int64_t r, std::vector<Real>& k) {
    const auto spec =
        static_cast<std::uint32_t>(spec_of_layer_[static_cast<std::size_t>(op.layer)]);
    const int dim = geometry_.head_dim;
    const std::int64_t position = sequence.position + r;
    k.assign(row_of(in[1], sequence.row + r),
             row_of(in[1], sequence.row + r) + geometry_.kv_heads * dim);
    turn(op.layer, geometry_.of_layer[op.layer].k_norm, k.data(), geometry_.kv_heads, position);
    const Real* v = row_of(in[2], sequence.row + r);
    for (int h = 0; h < geometry_.kv_heads; ++h) {
      Kv* k_tile = tile(spec, sequence.pages[position / TENON_PAGE_TOKENS], op.spec_layer, 0, h) +
                   position % TENON_PAGE_TOKENS * dim;
      Kv* v_tile = tile(spec, sequence.pages[position / TENON_PAGE_TOKENS], op.spec_layer, 1, h) +
                   position % TENON_PAGE_TOKENS * dim;
      for (int d = 0; d < dim; ++d) {
        k_tile[d] = P::store(k[static_cast<std::size_t>(h * dim + d)]);
        v_tile[d] = P::store(v[h * dim + d]);
      }
    }
  }

  void attend_row(const tenon_op_attend& op, const tenon_view* in, const tenon_view& out,
                  std::int32_t s, std::int64_t r) {
    const tenon_sequence_rows& sequence = op.batch->sequences[s];
    const tenon_read_pages& read = op.read_set->sequences[s];
    const auto spec =
        static_cast<std::uint32_t>(spec_of_layer_[static_cast<std::size_t>(op.layer)]);
    const int dim = geometry_.head_dim, per_kv = geometry_.q_heads / geometry_.kv_heads;
    const std::int64_t position = sequence.position + r, row = sequence.row + r;
    std::vector<Real> q(row_of(in[0], row), row_of(in[0], row) + geometry_.q_heads * dim);
    turn(op.layer, geometry_.of_layer[op.layer].q_norm, q.data(), geometry_.q_heads, position);
    const std::int32_t window = geometry_.of_layer[op.layer].window;
    const std::int64_t oldest = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
    for (int h = 0; h < geometry_.q_heads; ++h) {
      AttentionState<P> state(dim);
      for (std::int32_t p = 0; p < read.n_pages; ++p) {
        const std::int64_t first =
            std::int64_t{read.page_index != nullptr ? read.page_index[p] : read.first_index + p} *
            TENON_PAGE_TOKENS;
        if (first > position) break;
        if (first + TENON_PAGE_TOKENS <= oldest) continue;
        const int valid =
            static_cast<int>(std::min<std::int64_t>(TENON_PAGE_TOKENS, position - first + 1));
        state.fold(q.data() + h * dim, tile(spec, read.pages[p], op.spec_layer, 0, h / per_kv),
                   tile(spec, read.pages[p], op.spec_layer, 1, h / per_kv), dim,
                   static_cast<int>(std::max<std::int64_t>(0, oldest - first)), valid,
                   static_cast<Real>(geometry_.scale));
      }
      for (int d = 0; d < dim; ++d)
        row_of(out, row)[h * dim + d] = state.out[static_cast<std::size_t>(d)] / state.sum;
    }
  }

  Status attend(const tenon_op_attend& op, const tenon_view* in, const tenon_view* out) {
    rope_of_layer_[static_cast<std::size_t>(op.layer)]->reach_and_fill(sdk::end_of(*op.batch));
    std::vector<Real> k;
    for (std::int32_t s = 0; s < op.batch->n_sequences; ++s)
      for (std::int64_t r = 0; r < op.batch->sequences[s].n_rows; ++r)
        store_row(op, in, op.batch->sequences[s], r, k);
    for (std::int32_t s = 0; s < op.batch->n_sequences; ++s)
      parallel(threads_, op.batch->sequences[s].n_rows,
               [&](std::int64_t r) { attend_row(op, in, out[0], s, r); });
    return {};
  }

  Status sample(const tenon_op_sample& op, const tenon_view* in) {
    const std::int64_t rows = in[0].shape[0], n = in[0].shape[1];
    parallel(threads_, rows, [&](std::int64_t r) {
      sdk::SampleScratch scratch;
      const std::vector<float> logits(row_of(in[0], r), row_of(in[0], r) + n);
      sdk::sample_row(logits.data(), n, op.rows[r], scratch, op.results[r]);
    });
    return {};
  }

  sdk::ThreadsService threads_;
  std::vector<Weight> weights_;
  std::vector<Group> groups_;
  tenon_attention_geometry geometry_{};
  std::vector<tenon_cache_spec> specs_;
  std::vector<std::int32_t> spec_of_layer_;
  std::vector<tenon_attention_layer> layers_;
  std::map<double, sdk::RopeTable<Real>> rope_;  // by base
  std::vector<sdk::RopeTable<Real>*> rope_of_layer_;
  std::vector<std::vector<Kv>> pools_;  // per spec: [page, layer, K|V, kv head, 64, head_dim]
  sdk::RowFaults faults_;
  std::vector<Real> normed_;             // [rows, k] of the running linear group
  std::vector<QuantisedRow> quantised_;  // [rows]
};

constexpr char kDescriptor[] = R"(id: "tenon.backend.reference"
kind: "backend"
version: "0.1.0"
title: "Reference backend: the oracle of every other"
license: "Apache-2.0"
abi_epoch: 1
interfaces: "tenon.backend/1"
services: "tenon.threads/1"
provides: "kv.layout=head-major"
numerics: EXACT
oracle: "self"
affects_kv: true
params { key: "policy" type: ENUM default_string: "contract" values: "exact" values: "contract"
         doc: "exact: doubles, the meaning; contract: f32 with every rounding of the numbers contract, the bits" }
)";

// An instance: one of the two readings, picked by the parameter; each slot forwards to it.
class ReferenceBackend : public sdk::Unpacked {
  template <class F>
  auto visit(F&& f) {
    return exact_ != nullptr ? f(*exact_) : f(*contract_);
  }

 public:
  ReferenceBackend(const sdk::Host& host, const sdk::Params& params) {
    if (params.get_string("policy") == "exact")
      exact_ = std::make_unique<Backend<Exact>>(host);
    else
      contract_ = std::make_unique<Backend<Contract>>(host);
  }

  Status describe(tenon_backend_info* out) {
    return visit([&](auto& b) { return b.describe(out); });
  }
  Status allocate(uint64_t bytes, void** out) {
    return visit([&](auto& b) { return b.allocate(bytes, out); });
  }
  void free(void* memory) {
    visit([&](auto& b) { b.free(memory); });
  }
  Status write(void* to, const void* from, uint64_t n) {
    return visit([&](auto& b) { return b.write(to, from, n); });
  }
  Status read(const void* from, void* to, uint64_t n) {
    return visit([&](auto& b) { return b.read(from, to, n); });
  }
  Status load_weight(const tenon_weight* w) {
    return visit([&](auto& b) { return b.load_weight(w); });
  }
  Status prepare_linear_group(const tenon_linear_group* g) {
    return visit([&](auto& b) { return b.prepare_linear_group(g); });
  }
  void free_weight(uint32_t id) {
    visit([&](auto& b) { b.free_weight(id); });
  }
  Status prepare_attend(const tenon_attend_prepare* a) {
    return visit([&](auto& b) { return b.prepare_attend(a); });
  }
  uint64_t kv_page_bytes(uint32_t spec) {
    return visit([&](auto& b) { return b.kv_page_bytes(spec); });
  }
  Status kv_create(uint32_t spec, uint32_t n) {
    return visit([&](auto& b) { return b.kv_create(spec, n); });
  }
  Status kv_copy_page(uint32_t spec, uint32_t from, uint32_t to) {
    return visit([&](auto& b) { return b.kv_copy_page(spec, from, to); });
  }
  Status kv_poison_page(uint32_t spec, uint32_t page) {
    return visit([&](auto& b) { return b.kv_poison_page(spec, page); });
  }
  Status call(const tenon_hdr* op, const tenon_view* in, uint32_t n_in, const tenon_view* out,
              uint32_t n_out) {
    return visit([&](auto& b) { return b.call(op, in, n_in, out, n_out); });
  }
  Status sync() {
    return visit([&](auto& b) { return b.sync(); });
  }
  Status take_fault(tenon_row_fault* out) {
    return visit([&](auto& b) { return b.take_fault(out); });
  }

 private:
  std::unique_ptr<Backend<Exact>> exact_;
  std::unique_ptr<Backend<Contract>> contract_;
};

}  // namespace

const tenon_plugin_v1* plugin_entry() {
  static constexpr const char* kId = TENON_BACKEND_ID;
  return sdk::plugin_entry<ReferenceBackend, sdk::BackendTable>(&kId);
}

const char* descriptor_text() { return kDescriptor; }

}  // namespace tenon::reference
