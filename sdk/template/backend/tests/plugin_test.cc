// Small numbers through the two ops that matter, against the formula by hand.
#include <algorithm>
#include <cmath>

#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::inline_threads;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

using Backend = OpenedPlugin<tenon_backend_v1>;

// A matrix and a view of it.
struct Tensor {
  std::vector<float> values;
  std::int64_t shape[2], strides[2];
  Tensor(std::int64_t rows, std::int64_t columns, std::vector<float> v)
      : values(std::move(v)), shape{rows, columns}, strides{columns, 1} {
    values.resize(static_cast<std::size_t>(rows * columns));
  }
  tenon_view view() { return {values.data(), {1, 0}, 2, {2, 32, 1}, shape, strides, 0}; }
};

void load_floats(const Backend& backend, std::uint32_t id, std::int64_t n, std::int64_t k,
                 std::vector<float> values) {
  const tenon_read_rows_fn read = [](void* ctx, std::int64_t first, std::int64_t rows, void* out,
                                     float*, float*) {
    const auto& v = *static_cast<std::vector<float>*>(ctx);
    const auto columns = static_cast<std::int64_t>(v.size()) / rows;
    std::copy_n(v.begin() + first * columns, rows * columns, static_cast<float*>(out));
  };
  const tenon_weight weight{
      {sizeof weight, 0, nullptr}, {"w", 1}, id, TENON_LAYOUT_F32, n, k, 0, 0, read, &values};
  TENON_CHECK_OK(outcome(
      [&](tenon_call* call) { return backend->load_weight(backend.self(), &weight, call); }));
}

void run(const Backend& backend, const tenon_hdr& op, std::vector<tenon_view> in,
         std::vector<tenon_view> out) {
  TENON_CHECK_OK(outcome([&](tenon_call* call) {
    return backend->call(backend.self(), &op, in.data(), static_cast<std::uint32_t>(in.size()),
                         out.data(), static_cast<std::uint32_t>(out.size()), call);
  }));
  TENON_CHECK_OK(outcome([&](tenon_call* call) { return backend->sync(backend.self(), call); }));
}

bool near(float got, double want) { return std::abs(got - want) < 1e-5 * (1 + std::abs(want)); }

void test_linear_group(const Backend& backend) {
  load_floats(backend, 0, 1, 2, {2, 1});        // norm
  load_floats(backend, 1, 2, 2, {1, 2, 3, 4});  // gate
  load_floats(backend, 2, 2, 2, {5, 6, 7, 8});  // up
  const std::uint32_t weights[] = {1, 2};
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, TENON_EPILOGUE_SILU_MUL, 0, 2, 0.0, weights, -1, 0};
  TENON_CHECK_OK(outcome([&](tenon_call* call) {
    return backend->prepare_linear_group(backend.self(), &group, call);
  }));
  Tensor x(1, 2, {3, 4}), y(1, 2, {});
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
  run(backend, op.hdr, {x.view()}, {y.view()});
  const double r = 1 / std::sqrt(12.5), a = 3 * r * 2, b = 4 * r;  // normed x
  const auto silu = [](double v) { return v / (1 + std::exp(-v)); };
  TENON_CHECK(near(y.values[0], silu(a + 2 * b) * (5 * a + 6 * b)));
  TENON_CHECK(near(y.values[1], silu(3 * a + 4 * b) * (7 * a + 8 * b)));
}

// One head of two values, no rope; the third token of a sequence whose page is page 1.
void test_attend(const Backend& backend) {
  const tenon_attention_layer layer{10000, 0, -1, -1, 0};
  tenon_attention_geometry geometry{};
  geometry.hdr = {sizeof geometry, 0, nullptr};
  geometry.layers = geometry.q_heads = geometry.kv_heads = 1;
  geometry.head_dim = 2;
  geometry.scale = 0.5;
  geometry.of_layer = &layer;
  const tenon_cache_spec spec{{sizeof spec, 0, nullptr}, 1, 1, 2, 0};
  const std::int32_t spec_of_layer = 0;
  const tenon_rope_rows_fn no_rope = [](void*, std::int32_t, std::int32_t, std::int32_t, double*) {
  };
  const tenon_attend_prepare prepare{
      {sizeof prepare, 0, nullptr}, &geometry, &spec, &spec_of_layer, 1, 64, no_rope, nullptr};
  TENON_CHECK_OK(outcome(
      [&](tenon_call* call) { return backend->prepare_attend(backend.self(), &prepare, call); }));
  TENON_CHECK_OK(
      outcome([&](tenon_call* call) { return backend->kv_create(backend.self(), 0, 2, call); }));

  const std::uint32_t page = 1;
  const tenon_sequence_rows rows{0, 3, 0, 1, &page, 0, 0};
  const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 3};
  const tenon_read_pages pages{&page, nullptr, 1, 0};
  const tenon_read_set set{{sizeof set, 0, nullptr}, &pages, 1, 0};
  Tensor q(3, 2, {1, 0, 1, 0, 2, 1}), k(3, 2, {1, 2, 0, 1, 1, 1}), v(3, 2, {1, 10, 2, 20, 3, 30}),
      out(3, 2, {});
  const tenon_op_attend op{{sizeof op, TENON_OP_ATTEND, nullptr}, 0, 0, &batch, &set};
  run(backend, op.hdr, {q.view(), k.view(), v.view()}, {out.view()});
  TENON_CHECK(out.values[0] == 1 && out.values[1] == 10);  // the first reads itself
  const double p0 = std::exp(2.0), p1 = std::exp(0.5), p2 = std::exp(1.5);
  TENON_CHECK(near(out.values[4], (p0 + 2 * p1 + 3 * p2) / (p0 + p1 + p2)));
}

}  // namespace

int main(int, char** argv) {
  FakeHost host;
  host.offer(TENON_THREADS_ID, inline_threads());
  const Backend backend(argv[1], TENON_BACKEND_ID, host);
  test_linear_group(backend);
  test_attend(backend);
  return 0;
}
