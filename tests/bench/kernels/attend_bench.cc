// Attention in the shapes of SmolLM2 135M and Gemma 3 270M. Chunks of a prompt behind so many
// tokens, whose keys a cache keeps; single rows, whose keys come from memory, layer after layer;
// and rope with the store, seen where a row reads one page only.
#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/bench/kernels/op_rig.h"
#include "tests/bench/kernels/work.h"

namespace tenon::bench {
namespace {

constexpr int kPage = 64;

struct Geometry {
  const char* name;
  std::int32_t q_heads, kv_heads, dim;
  tenon_rope_style style;
};
constexpr Geometry kGeometries[] = {{"smollm2", 9, 3, 64, TENON_ROPE_STYLE_ADJACENT},
                                    {"gemma", 4, 1, 256, TENON_ROPE_STYLE_HALF}};

// One sequence of `depth` tokens in every layer.
class AttendRig {
 public:
  AttendRig(const Setup& setup, const Target& target, const Geometry& geometry, std::int32_t layers,
            int depth)
      : rig_(target.isa, setup.threads), layers_(layers), depth_(depth), dim_(geometry.dim) {
    prepare(geometry);
    std::mt19937 random(1);
    q_ = std::make_unique<Operand>(rig_.table(), kPage, geometry.q_heads * geometry.dim, random);
    k_ = std::make_unique<Operand>(rig_.table(), kPage, geometry.kv_heads * geometry.dim, random);
    v_ = std::make_unique<Operand>(rig_.table(), kPage, geometry.kv_heads * geometry.dim, random);
    out_ = std::make_unique<Operand>(rig_.table(), kPage, geometry.q_heads * geometry.dim, random);
    for (std::int32_t layer = 0; layer < layers; ++layer)
      for (int at = 0; at < depth; at += kPage) call(layer, at, kPage, at / kPage);
  }

  // The next layer's rows behind the depth.
  void call(int rows, bool own_page_only) {
    layer_ = (layer_ + 1) % layers_;
    call(layer_, depth_, rows, own_page_only ? depth_ / kPage : 0);
  }
  double token_bytes() const {
    return static_cast<double>(rig_.table().kv_page_bytes(0)) / kPage / layers_;
  }

 private:
  void prepare(const Geometry& shape) {
    const int context = depth_ + 2 * kPage;
    const std::vector<tenon_attention_layer> of_layer(static_cast<std::size_t>(layers_),
                                                      {10000.0, 0, -1, -1, 0});
    tenon_attention_geometry geometry{};
    geometry.hdr = {sizeof geometry, 0, nullptr};
    geometry.layers = layers_;
    geometry.q_heads = shape.q_heads;
    geometry.kv_heads = shape.kv_heads;
    geometry.head_dim = shape.dim;
    geometry.rope_style = shape.style;
    geometry.rope_dims = shape.dim;
    geometry.scale = 1 / std::sqrt(static_cast<double>(shape.dim));
    geometry.norm_eps = 1e-6;
    geometry.of_layer = of_layer.data();
    const tenon_cache_spec spec{{sizeof spec, 0, nullptr}, layers_, shape.kv_heads, shape.dim, 0};
    const std::vector<std::int32_t> spec_of_layer(static_cast<std::size_t>(layers_));
    const tenon_attend_prepare attend{{sizeof attend, 0, nullptr},
                                      &geometry,
                                      &spec,
                                      spec_of_layer.data(),
                                      1,
                                      context,
                                      rope_rows,
                                      &dim_};
    must(rig_.table().prepare_attend(&attend));
    must(rig_.table().kv_create(0, static_cast<std::uint32_t>(context / kPage)));
    for (int p = 0; p < context / kPage; ++p) pages_.push_back(static_cast<std::uint32_t>(p));
  }

  static void rope_rows(void* ctx, std::int32_t, std::int32_t first, std::int32_t rows,
                        double* out) {
    const int dim = *static_cast<const int*>(ctx);
    for (std::int32_t p = first; p < first + rows; ++p)
      for (int i = 0; i < dim / 2; ++i) {
        const double angle = p * std::pow(10000.0, -2.0 * i / dim);
        *out++ = std::cos(angle);
        *out++ = std::sin(angle);
      }
  }

  // Rows at [at, at + rows) of a layer, which read pages from `first` on.
  void call(std::int32_t layer, int at, int rows, int first) {
    const int n_pages = (at + rows + kPage - 1) / kPage;
    const tenon_sequence_rows sequence{0, rows, at, n_pages, pages_.data(), 0, 0};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &sequence, 1, rows};
    const tenon_read_pages read{pages_.data() + first, nullptr, n_pages - first, first};
    const tenon_read_set read_set{{sizeof read_set, 0, nullptr}, &read, 1, 0};
    const tenon_op_attend op{
        {sizeof op, TENON_OP_ATTEND, nullptr}, layer, layer, &batch, &read_set};
    rig_.call(&op.hdr, {q_->rows(rows), k_->rows(rows), v_->rows(rows)}, {out_->rows(rows)});
  }

  OpRig rig_;
  std::int32_t layers_, layer_ = 0;
  int depth_, dim_;
  std::vector<std::uint32_t> pages_;
  std::unique_ptr<Operand> q_, k_, v_, out_;
};

std::int32_t layers_that_fill(const Setup& setup, const Geometry& geometry, int depth) {
  constexpr int kHalf = 2;  // bytes of a key's or a value's value
  const int of_layer = 2 * kHalf * geometry.kv_heads * geometry.dim * (depth + kPage);
  return std::max(1, static_cast<std::int32_t>(setup.streamed) / of_layer);
}

void add_case(const Setup& setup, const Target& target, const std::string& family,
              const Geometry& geometry, int depth, int rows, bool stream, bool own_page_only) {
  const std::string name = family + "/" + geometry.name + "/depth:" + std::to_string(depth) +
                           "/rows:" + std::to_string(rows);
  add(setup, target, name, [=](benchmark::State& state) {
    static std::shared_ptr<AttendRig> rig;
    static std::string loaded;
    if (loaded != name + target.isa) {
      rig.reset();
      rig = std::make_shared<AttendRig>(
          setup, target, geometry, stream ? layers_that_fill(setup, geometry, depth) : 1, depth);
      loaded = name + target.isa;
    }
    rig->call(rows, own_page_only);
    for (auto _ : state) rig->call(rows, own_page_only);
    // A row reads what stands before it and itself; products of keys, and of values.
    const double keys = own_page_only ? rows / 2.0 : depth + (rows + 1) / 2.0;
    set_counters(state,
                 {.bytes = own_page_only ? 0 : rig->token_bytes() * (depth + rows),
                  .in_cache = !stream,
                  .f32_ops = 4.0 * rows * keys * geometry.q_heads * geometry.dim},
                 target);
  });
}

}  // namespace

void add_attend_benchmarks(const Setup& setup, const Target& target) {
  for (const Geometry& geometry : kGeometries) {
    for (const int depth : {0, 448, 1984})
      add_case(setup, target, "attend-prompt", geometry, depth, kPage, false, false);
    for (const int depth : {512, 2048})
      add_case(setup, target, "attend-token", geometry, depth, 1, true, false);
    for (const int rows : {1, 64})
      add_case(setup, target, "rope-store", geometry, 512, rows, false, true);
  }
}

}  // namespace tenon::bench
