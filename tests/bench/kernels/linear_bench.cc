// Products by layout and number of rows, in the shapes of SmolLM2 135M and Gemma 3 270M: one weight
// again and again (a cache keeps it), and so many that each comes from memory. And what is done
// with the rows before a product: norm and quantising, seen where there are few outputs.
#include <algorithm>
#include <memory>

#include "core/load/model_costs.h"
#include "tests/bench/kernels/op_rig.h"
#include "tests/bench/kernels/work.h"

namespace tenon::bench {
namespace {

struct Shape {
  const char* name;
  tenon_layout layout;
  bool has_min, wide;  // wide: scales that are no halves, as K-quants have
  std::int64_t n, k;
  bool norm = false;
};

constexpr Shape kShapes[] = {
    {"smollm2-gate-q4m32", TENON_LAYOUT_Q4M32, true, false, 1536, 576},
    {"smollm2-down-q4m32", TENON_LAYOUT_Q4M32, true, false, 576, 1536},
    {"gemma-gate-q8m32", TENON_LAYOUT_Q8M32, false, false, 2048, 640},
    {"gemma-down-q4m32-wide", TENON_LAYOUT_Q4M32, true, true, 640, 2048},
    {"gemma-down-q8n16", TENON_LAYOUT_Q8N16, false, true, 640, 2048},
    {"square-f32", TENON_LAYOUT_F32, false, false, 576, 576},
};
constexpr Shape kHead = {"smollm2-head-q8m32", TENON_LAYOUT_Q8M32, false, false, 49152, 576};
constexpr Shape kPrepare = {"smollm2", TENON_LAYOUT_Q4M32, true, false, 16, 576, true};
constexpr std::int64_t kRows[] = {1, 2, 4, 8, 16, 64};
constexpr std::int64_t kMostRows = 64;

double bytes_of(const Shape& shape) {
  ModelShape model;
  model.weights = {{"w", shape.n, shape.k, shape.layout, 0, shape.has_min}};
  model.groups = {{.weights = {0}}};
  ModelCosts costs;
  add_costs(model, true, costs);
  return tenon::bytes_of(costs.body);
}

// The same values in as many weights as fill `bytes`, each a group by itself.
class LinearRig {
 public:
  LinearRig(const Setup& setup, const Target& target, const Shape& shape, double bytes)
      : rig_(target.isa, setup.threads),
        n_weights_(std::max(1u, static_cast<std::uint32_t>(bytes / bench::bytes_of(shape)))) {
    std::mt19937 random(1);
    conform::RandomWeight weight(shape.layout, shape.n, shape.k, shape.has_min, random, shape.wide);
    conform::RandomWeight norm(TENON_LAYOUT_F32, 1, shape.k, false, random);
    must(norm.load(rig_.table(), n_weights_));
    for (std::uint32_t id = 0; id < n_weights_; ++id) {
      must(weight.load(rig_.table(), id));
      const tenon_linear_group group{{sizeof group, 0, nullptr},
                                     id,
                                     TENON_EPILOGUE_NONE,
                                     shape.norm ? static_cast<std::int32_t>(n_weights_) : -1,
                                     1,
                                     1e-5,
                                     &id,
                                     -1,
                                     0};
      must(rig_.table().prepare_linear_group(&group));
    }
    in_ = std::make_unique<Operand>(rig_.table(), kMostRows, shape.k, random);
    out_ = std::make_unique<Operand>(rig_.table(), kMostRows, shape.n, random);
  }

  void call(std::int64_t rows) {
    const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, next_, 0, nullptr};
    next_ = (next_ + 1) % n_weights_;
    rig_.call(&op.hdr, {in_->rows(rows)}, {out_->rows(rows)});
  }

 private:
  OpRig rig_;
  std::uint32_t n_weights_, next_ = 0;
  std::unique_ptr<Operand> in_, out_;
};

// Rigs are large: the one of the benchmark that runs is kept, and goes when another's turn comes.
std::shared_ptr<LinearRig>& current() {
  static std::shared_ptr<LinearRig> rig;
  return rig;
}

// Of a shape with a norm the products do not count: it is there for what happens before them.
Work work_of(const Shape& shape, std::int64_t rows, bool stream) {
  const double ops = 2.0 * static_cast<double>(shape.n * shape.k * rows);
  if (shape.norm) return {.bytes = 4.0 * static_cast<double>(shape.k * rows), .in_cache = true};
  const bool floats = shape.layout == TENON_LAYOUT_F32;
  return {.bytes = bytes_of(shape),
          .in_cache = !stream,
          .int8_ops = floats ? 0 : ops,
          .f32_ops = floats ? ops : 0};
}

void add_shape(const Setup& setup, const Target& target, const std::string& family,
               const Shape& shape, std::int64_t rows, bool stream) {
  const std::string of_rig = family + "/" + shape.name + (stream ? "/stream" : "/cache");
  const double bytes = stream ? static_cast<double>(setup.streamed) : 0;
  add(setup, target, of_rig + "/rows:" + std::to_string(rows),
      [=, key = of_rig + target.isa](benchmark::State& state) {
        static std::string loaded;
        if (loaded != key) {
          current().reset();
          current() = std::make_shared<LinearRig>(setup, target, shape, bytes);
          loaded = key;
        }
        LinearRig& rig = *current();
        rig.call(rows);  // takes the memory of these shapes
        for (auto _ : state) rig.call(rows);
        set_counters(state, work_of(shape, rows, stream), target);
      });
}

}  // namespace

void add_linear_benchmarks(const Setup& setup, const Target& target) {
  for (const Shape& shape : kShapes)
    for (const bool stream : {false, true})
      for (const std::int64_t rows : kRows)
        add_shape(setup, target, "product", shape, rows, stream);
  for (const std::int64_t rows : {1, 8}) add_shape(setup, target, "product", kHead, rows, true);
  for (const std::int64_t rows : {1, 64})
    add_shape(setup, target, "prepare", kPrepare, rows, false);
}

}  // namespace tenon::bench
