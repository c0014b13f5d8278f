// Every op as its definition says, in plain floats: the place to start a device or a kernel from.
// tenon/sdk/host_backend.hpp keeps memory, weights and pages and has the small ops; here are the
// two that cost time. An output's sum is one chain in ascending order, and keys are folded page by
// page, so a row's bits depend neither on its batch nor on how a prompt was cut: numerics EXACT,
// under a name of their own, because they are not the bits of contract/1.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tenon/sdk/host_backend.hpp"

namespace {

using tenon::sdk::FloatWeight;
using tenon::sdk::Host;
using tenon::sdk::Params;
using tenon::sdk::Status;

constexpr std::int32_t kMostHeadDim = 256, kMostRank = 1024;

float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

class Scalar : public tenon::sdk::HostBackend<Scalar> {
 public:
  static constexpr const char *kDevice = "host", *kNumerics = "@ID@/1";
  Scalar(const Host& host, const Params&) : HostBackend(host) {}

  Status prepare_attend(const tenon_attend_prepare* in) {
    if (in->geometry->head_dim > kMostHeadDim)
      return tenon::sdk::unimplemented("heads of " + std::to_string(in->geometry->head_dim) +
                                       " values; at most " + std::to_string(kMostHeadDim));
    return HostBackend::prepare_attend(in);
  }

  // y_i = epilogue(W_i norm(x)), with what adapters add to the products of some rows.
  Status linear_group(const tenon_op_linear_group& op, const tenon_view* in,
                      const tenon_view* out) {
    const Group& g = group(op.group);
    TENON_SDK_TRY(check_ranks(op, g.weights.size()));
    const std::int64_t rows = in[0].shape[0], k = in[0].shape[1];
    normed_.resize(static_cast<std::size_t>(rows * k));
    for (std::int64_t r = 0; r < rows; ++r)
      norm_row(g.norm, g.norm_eps, row_of(in[0], r), k, normed_.data() + r * k);
    const bool silu = g.epilogue == TENON_EPILOGUE_SILU_MUL,
               gated = silu || g.epilogue == TENON_EPILOGUE_GELU_MUL,
               residual = g.epilogue == TENON_EPILOGUE_RESIDUAL;
    for (std::size_t w = 0; w < (gated ? 1 : g.weights.size()); ++w)
      for (std::int64_t r = 0; r < rows; ++r)
        products(op, g, w, r, [&](std::int64_t n, float y) {
          if (gated) y = (silu ? tenon_silu(y) : tenon_gelu(y)) * product(op, g, 1, r, n);
          if (residual && g.post_norm < 0) y = row_of(in[1], r)[n] + y;
          row_of(out[w], r)[n] = y;
        });
    for (std::int64_t r = 0; residual && g.post_norm >= 0 && r < rows; ++r) {
      float* y = row_of(out[0], r);
      norm_row(g.post_norm, g.norm_eps, y, out[0].shape[1], y);
      for (std::int64_t i = 0; i < out[0].shape[1]; ++i) y[i] = row_of(in[1], r)[i] + y[i];
    }
    return {};
  }

  Status attend(const tenon_op_attend& op, const tenon_view* in, const tenon_view* out) {
    // All rows of the step are stored before one is read: rows of a chunk read each other.
    for (std::int32_t s = 0; s < op.batch->n_sequences; ++s)
      for (std::int32_t r = 0; r < op.batch->sequences[s].n_rows; ++r)
        store_row(op, op.batch->sequences[s], r, in);
    for (std::int32_t s = 0; s < op.batch->n_sequences; ++s)
      tenon::sdk::parallel(threads_, op.batch->sequences[s].n_rows, [&](std::int64_t r) {
        for (std::int32_t h = 0; h < geometry_.q_heads; ++h)
          attend_head(op, s, r, h, in[0], out[0]);
      });
    return {};
  }

 private:
  // Runs f(n, product) for every output of one row, on all threads.
  template <class F>
  void products(const tenon_op_linear_group& op, const Group& g, std::size_t w, std::int64_t row,
                const F& f) {
    tenon::sdk::parallel(threads_, weight_of(g, w).n,
                         [&](std::int64_t n) { f(n, product(op, g, w, row, n)); });
  }
  const FloatWeight& weight_of(const Group& g, std::size_t w) const {
    return weight(static_cast<std::int32_t>(g.weights[w]));
  }

  // W[n, :] x, and scale * B[n, :] (A x) where an adapter says so.
  float product(const tenon_op_linear_group& op, const Group& g, std::size_t w, std::int64_t row,
                std::int64_t n) const {
    const FloatWeight& matrix = weight_of(g, w);
    const float* x = normed_.data() + row * matrix.k;
    const float y = dot(matrix.row(n), x, matrix.k);
    const tenon_low_rank* delta = delta_of(op, w, row);
    if (delta == nullptr) return y;
    const FloatWeight &a = weight(static_cast<std::int32_t>(delta->a)),
                      &b = weight(static_cast<std::int32_t>(delta->b));
    float t[kMostRank];
    for (std::int32_t i = 0; i < delta->rank; ++i) t[i] = dot(a.row(i), x, a.k);
    return y + static_cast<float>(delta->scale) * dot(b.row(n), t, delta->rank);
  }

  static Status check_ranks(const tenon_op_linear_group& op, std::size_t n_weights) {
    for (std::int32_t i = 0; i < op.n_deltas; ++i)
      for (std::size_t w = 0; w < n_weights; ++w)
        if (op.deltas[i].of_weight[w].rank > kMostRank)
          return tenon::sdk::unimplemented("a low rank above " + std::to_string(kMostRank));
    return {};
  }

  // Keys are kept turned to their position, so that a page means the same wherever it is read.
  void store_row(const tenon_op_attend& op, const tenon_sequence_rows& rows, std::int32_t r,
                 const tenon_view* in) {
    const std::int32_t position = rows.position + r, dim = geometry_.head_dim;
    const std::uint32_t page = rows.pages[position / TENON_PAGE_TOKENS];
    for (std::int32_t h = 0; h < geometry_.kv_heads; ++h) {
      float* k = tile(op, page, 0, h) + position % TENON_PAGE_TOKENS * dim;
      std::copy_n(row_of(in[1], rows.row + r) + h * dim, dim, k);
      turn_head(op.layer, geometry_.of_layer[op.layer].k_norm, position, k);
      std::copy_n(row_of(in[2], rows.row + r) + h * dim, dim,
                  tile(op, page, 1, h) + position % TENON_PAGE_TOKENS * dim);
    }
  }

  // softmax(scale q K^T) V of one row and head over the pages that it may read: page by page, with
  // the largest score so far taken out (online softmax).
  void attend_head(const tenon_op_attend& op, std::int32_t s, std::int64_t r, std::int32_t head,
                   const tenon_view& q_in, const tenon_view& out_view) {
    const tenon_sequence_rows& rows = op.batch->sequences[s];
    const tenon_read_pages& read = op.read_set->sequences[s];
    const std::int32_t dim = geometry_.head_dim,
                       kv_head = head / (geometry_.q_heads / geometry_.kv_heads);
    const std::int64_t position = rows.position + r, window = geometry_.of_layer[op.layer].window;
    const std::int64_t oldest = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
    float q[kMostHeadDim], o[kMostHeadDim] = {}, p[TENON_PAGE_TOKENS];
    std::copy_n(row_of(q_in, rows.row + r) + head * dim, dim, q);
    turn_head(op.layer, geometry_.of_layer[op.layer].q_norm, position, q);
    float most = -std::numeric_limits<float>::infinity(), sum = 0;
    for (std::int32_t i = 0; i < read.n_pages; ++i) {
      const std::int64_t first =
          std::int64_t{read.page_index != nullptr ? read.page_index[i] : read.first_index + i} *
          TENON_PAGE_TOKENS;
      const std::int64_t from = std::max<std::int64_t>(0, oldest - first),
                         to = std::min<std::int64_t>(TENON_PAGE_TOKENS, position - first + 1);
      if (from >= to) continue;
      const float *k = tile(op, read.pages[i], 0, kv_head),
                  *v = tile(op, read.pages[i], 1, kv_head);
      float new_most = most;
      for (std::int64_t j = from; j < to; ++j) {
        p[j] = dot(q, k + j * dim, dim) * static_cast<float>(geometry_.scale);
        new_most = std::max(new_most, p[j]);
      }
      const float keep = std::exp(most - new_most);
      sum *= keep;
      for (std::int32_t d = 0; d < dim; ++d) o[d] *= keep;
      for (std::int64_t j = from; j < to; ++j) {
        const float weight = std::exp(p[j] - new_most);
        sum += weight;
        for (std::int32_t d = 0; d < dim; ++d) o[d] += weight * v[j * dim + d];
      }
      most = new_most;
    }
    for (std::int32_t d = 0; d < dim; ++d)
      row_of(out_view, rows.row + r)[head * dim + d] = o[d] / sum;
  }

  std::vector<float> normed_;  // [rows, k] of the group that runs
};

}  // namespace

TENON_PLUGIN(Scalar, TENON_BACKEND_ID, BackendTable);
