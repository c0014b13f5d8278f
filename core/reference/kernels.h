// The ops, one row or one output at a time, as plainly as they can be said. P is a policy
// (policy.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/reference/policy.h"
#include "core/tensor/codec.h"
#include "tenon/abi/ops.h"

namespace tenon::reference {

// A weight in its layout's canonical planes (core/tensor/codec.h).
struct Weight {
  tenon_layout layout = TENON_LAYOUT_F32;
  std::int64_t n = 0, k = 0;
  bool has_min = false;
  std::vector<float> floats;        // f32: [n, k]
  std::vector<std::int8_t> values;  // quantised: [n, k]
  std::vector<float> scales, mins;  // [n, k / group()]
  std::int64_t group() const { return layout_group(layout); }
};

// One row of activations as a product with a quantised weight sees it.
struct QuantisedRow {
  std::vector<std::int8_t> values;  // [k]
  std::vector<float> scales;        // [k / 32]
  std::vector<std::int32_t> sums;   // [k / 32]
};

inline void quantise_row(const float* x, std::int64_t k, QuantisedRow& out) {
  out.values.resize(static_cast<std::size_t>(k));
  out.scales.resize(static_cast<std::size_t>(k / TENON_GROUP));
  out.sums.resize(out.scales.size());
  for (std::size_t g = 0; g < out.scales.size(); ++g)
    out.scales[g] =
        tenon_quantise32(x + g * TENON_GROUP, out.values.data() + g * TENON_GROUP, &out.sums[g]);
}

// w[row, i] in the policy's arithmetic.
template <class P>
typename P::Real weight_value(const Weight& w, std::int64_t row, std::int64_t i) {
  const auto at = static_cast<std::size_t>(row * w.k + i);
  if (w.layout == TENON_LAYOUT_F32) return w.floats[at];
  const auto group = static_cast<std::size_t>((row * w.k + i) / w.group());
  using Real = typename P::Real;
  const Real scale = w.scales[group], value = w.values[at];
  return w.has_min ? P::fma(scale, value, Real{w.mins[group]}) : scale * value;
}

// y = w[row, :] . x, in the chain of the weight's layout.
inline float dot_contract(const Weight& w, std::int64_t row, const float* x,
                          const QuantisedRow& q) {
  float acc = 0, acc_min = 0;
  if (w.layout == TENON_LAYOUT_F32) {
    for (std::int64_t i = 0; i < w.k; ++i)
      acc = std::fma(w.floats[static_cast<std::size_t>(row * w.k + i)], x[i], acc);
    return acc;
  }
  const std::int8_t* values = w.values.data() + row * w.k;
  const std::int64_t group = w.group(), groups = w.k / group;
  for (std::int64_t g = 0; g < groups; ++g) {
    std::int32_t total = 0;
    for (std::int64_t i = g * group; i < (g + 1) * group; ++i)
      total += std::int32_t{values[i]} * q.values[static_cast<std::size_t>(i)];
    const auto at = static_cast<std::size_t>(row * groups + g),
               around = static_cast<std::size_t>(g * group / TENON_GROUP);
    const float d = q.scales[around];
    acc = std::fma(static_cast<float>(total), w.scales[at] * d, acc);
    if (w.has_min) acc_min = std::fma(w.mins[at], d * static_cast<float>(q.sums[around]), acc_min);
  }
  return w.has_min ? acc + acc_min : acc;
}

inline double dot_exact(const Weight& w, std::int64_t row, const double* x) {
  double total = 0;
  for (std::int64_t i = 0; i < w.k; ++i) total += weight_value<Exact>(w, row, i) * x[i];
  return total;
}

template <class Real>
void rms_norm(const Real* x, const float* scale, std::int64_t n, Real sum_squares, Real eps,
              Real* out) {
  const Real r = Real{1} / std::sqrt(sum_squares / static_cast<Real>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i) out[i] = (x[i] * r) * Real{scale[i]};
}

// Turns one head in place. cos_sin: [dims / 2, 2] for this position.
template <class P>
void rope(typename P::Real* head, const typename P::Real* cos_sin, int dims,
          tenon_rope_style style) {
  using Real = typename P::Real;
  for (int i = 0; i < dims / 2; ++i) {
    Real& a = style == TENON_ROPE_STYLE_ADJACENT ? head[2 * i] : head[i];
    Real& b = style == TENON_ROPE_STYLE_ADJACENT ? head[2 * i + 1] : head[i + dims / 2];
    const Real c = cos_sin[2 * i], s = cos_sin[2 * i + 1], x = a, y = b;
    a = P::fma(x, c, -(y * s));
    b = P::fma(x, s, y * c);
  }
}

// The running state of one row and head over chunks of 64 keys: (M, L, O).
template <class P>
struct AttentionState {
  using Real = typename P::Real;
  Real most = -std::numeric_limits<Real>::infinity(), sum = 0;
  std::vector<Real> out;  // [head_dim]
  explicit AttentionState(int head_dim) : out(static_cast<std::size_t>(head_dim), Real{0}) {}

  // k, v: [64, head_dim] of one page; keys [from, valid) are read.
  void fold(const Real* q, const typename P::Kv* k, const typename P::Kv* v, int head_dim, int from,
            int valid, Real scale) {
    Real scores[TENON_PAGE_TOKENS], p[TENON_PAGE_TOKENS] = {};
    Real m = -std::numeric_limits<Real>::infinity();
    for (int j = from; j < valid; ++j) {
      Real acc = 0;
      for (int d = 0; d < head_dim; ++d) acc = P::fma(q[d], P::load(k[j * head_dim + d]), acc);
      scores[j] = acc * scale;
      m = std::max(m, scores[j]);
    }
    for (int j = from; j < valid; ++j) p[j] = P::exp(scores[j] - m);
    const Real l = P::sum(p, TENON_PAGE_TOKENS);
    const Real new_most = std::max(most, m), keep = P::exp(most - new_most),
               add = P::exp(m - new_most);
    sum = P::fma(l, add, sum * keep);
    for (int d = 0; d < head_dim; ++d) {
      Real o = 0;
      for (int j = from; j < valid; ++j) o = P::fma(p[j], P::load(v[j * head_dim + d]), o);
      out[static_cast<std::size_t>(d)] = P::fma(o, add, out[static_cast<std::size_t>(d)] * keep);
    }
    most = new_most;
  }
};

}  // namespace tenon::reference
