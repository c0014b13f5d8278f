// The definition of sampling, for backends whose logits are host memory. One row at a time:
//
//   log-probabilities are those of the model's own distribution: (l - max) - ln(sum16 exp(l -
//   max)); adjustments give z; temperature 0 takes the largest z, ties to the lower index;
//   otherwise y = z / temperature, then in this order: the top_k largest; of those the shortest
//   prefix whose weight reaches top_p; of those the ones with weight >= min_p times the largest;
//   one of the rest is drawn with tenon_random(seed, position, 0). A temperature so small that the
//   largest y is infinite counts as 0.
//
// Candidates are ordered by (y descending, index ascending) when top_k or top_p is on, by index
// otherwise. Logits of which one is a NaN or +inf, or all are -inf, are no distribution: the answer
// is token -1, and NaN as every log-probability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tenon/abi/contract.h"
#include "tenon/abi/ops.h"

namespace tenon::sdk {

// Room that is reused from row to row, so that a steady step does not allocate.
struct SampleScratch {
  std::vector<float> z, weight;
  std::vector<std::int32_t> order;

  void reserve(std::size_t n) {
    z.reserve(n);
    weight.reserve(n);
    order.reserve(n);
  }
};

// The loops over all logits, which a backend may give faster ones for, with the same bits.
struct SampleLoops {
  // The largest of x, n >= 1 values.
  static float most(const float* x, std::int64_t n) {
    float lanes[16];
    std::fill(lanes, lanes + 16, x[0]);
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16)
      for (int lane = 0; lane < 16; ++lane)
        lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    float best = lanes[0];
    for (int lane = 1; lane < 16; ++lane) best = std::max(best, lanes[lane]);
    for (; i < n; ++i) best = std::max(best, x[i]);
    return best;
  }

  // sum16 of exp(x - top); NaN when a term is.
  static float exp_sum(const float* x, std::int64_t n, float top) {
    float lanes[16] = {0};
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16)
      for (int lane = 0; lane < 16; ++lane) lanes[lane] += tenon_exp(x[i + lane] - top);
    for (; i < n; ++i) lanes[i % 16] += tenon_exp(x[i] - top);
    return tenon_fold16(lanes);
  }

  // out = exp(x - top).
  static void exps(const float* x, std::int64_t n, float top, float* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = tenon_exp(x[i] - top);
  }
};

namespace sample_detail {

inline std::int32_t first_index_of(const float* x, std::int64_t n, float value) {
  return static_cast<std::int32_t>(std::find(x, x + n, value) - x);
}

// Puts the k largest of `x` first in `order`, sorted; the rest is unspecified.
inline void sort_largest(const float* x, std::vector<std::int32_t>& order, std::size_t k) {
  const auto before = [x](std::int32_t a, std::int32_t b) {
    return x[a] != x[b] ? x[a] > x[b] : a < b;
  };
  k = std::min(k, order.size());
  if (k < order.size())
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                     before);
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), before);
}

inline void all_indices(std::vector<std::int32_t>& order, std::int64_t n) {
  order.resize(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    order[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i);
}

// As sort_largest over all n indices, of which `order` holds at least the k that count. `top` is
// the largest value: what lies far below it is mostly not looked at twice.
inline void find_largest(const float* x, std::int64_t n, float top, std::size_t k,
                         std::vector<std::int32_t>& order) {
  order.clear();
  if (8 * k < static_cast<std::size_t>(n))
    for (float span = 4; order.size() < k && span < 1e4f; span *= 2) {
      order.clear();
      for (std::int64_t i = 0; i < n; ++i)
        if (x[i] >= top - span) order.push_back(static_cast<std::int32_t>(i));
    }
  if (order.size() < k) all_indices(order, n);
  sort_largest(x, order, k);
}

// How many of the candidates, the `limit` largest of n, top_p keeps; sorts as many as it needs.
// `order` holds the `sorted` largest.
inline std::size_t top_p_prefix(const float* y, float top, const std::vector<float>& weight,
                                std::vector<std::int32_t>& order, std::size_t sorted,
                                std::size_t limit, float top_p) {
  double total = 0;
  if (limit == weight.size()) {
    for (const float w : weight) total += w;
  } else {
    for (std::size_t i = 0; i < limit; ++i) total += weight[static_cast<std::size_t>(order[i])];
  }
  double reached = 0;
  for (std::size_t i = 0; i < limit; ++i) {
    if (i == sorted) {
      sorted = std::min(limit, sorted * 8);
      find_largest(y, static_cast<std::int64_t>(weight.size()), top, sorted, order);
    }
    reached += weight[static_cast<std::size_t>(order[i])];
    if (reached >= top_p * total) return i + 1;
  }
  return limit;
}

inline std::int32_t draw(const tenon_sample_row& row, const std::vector<float>& weight,
                         std::span<const std::int32_t> candidates) {
  double total = 0;
  for (const std::int32_t index : candidates)
    if (const float w = weight[static_cast<std::size_t>(index)]; w >= row.min_p) total += w;
  const double wanted = total * tenon_random(row.seed, static_cast<std::uint64_t>(row.position), 0);
  double reached = 0;
  std::int32_t last = candidates[0];
  for (const std::int32_t index : candidates) {
    const float w = weight[static_cast<std::size_t>(index)];
    if (w < row.min_p || w == 0) continue;
    last = index;
    reached += w;
    if (reached > wanted) break;
  }
  return last;
}

template <class Loops>
std::int32_t choose(const tenon_sample_row& row, std::int64_t n, const Loops& loops,
                    SampleScratch& scratch) {
  std::vector<float>& z = scratch.z;
  const float largest = loops.most(z.data(), n), top = largest / row.temperature;
  if (__builtin_isinf(top)) return first_index_of(z.data(), n, largest);
  for (float& value : z) value /= row.temperature;
  scratch.weight.resize(z.size());
  loops.exps(z.data(), n, top, scratch.weight.data());
  if (row.top_k <= 0 && row.top_p >= 1) {
    all_indices(scratch.order, n);
    return draw(row, scratch.weight, scratch.order);
  }
  const std::size_t limit =
      row.top_k > 0 ? std::min<std::size_t>(z.size(), static_cast<std::size_t>(row.top_k))
                    : z.size();
  const std::size_t sorted = row.top_k > 0 ? limit : std::min<std::size_t>(limit, 64);
  find_largest(z.data(), n, top, sorted, scratch.order);
  const std::size_t keep = row.top_p < 1 ? top_p_prefix(z.data(), top, scratch.weight,
                                                        scratch.order, sorted, limit, row.top_p)
                                         : limit;
  return draw(row, scratch.weight, std::span(scratch.order).first(keep));
}

inline void no_distribution(const tenon_sample_row& row, tenon_sample_result& result) {
  const tenon_token_logprob none{-1, std::numeric_limits<float>::quiet_NaN()};
  result.token = none.token;
  result.logprob = none.logprob;
  std::fill_n(result.top, row.n_top, none);
}

}  // namespace sample_detail

// logits: [n]. `scratch` belongs to the calling thread.
template <class Loops = SampleLoops>
void sample_row(const float* logits, std::int64_t n, const tenon_sample_row& row,
                SampleScratch& scratch, tenon_sample_result& result, const Loops& loops = {}) {
  using namespace sample_detail;
  const float top = loops.most(logits, n), sum = loops.exp_sum(logits, n, top);
  if (!(sum == sum)) return no_distribution(row, result);
  const auto log_total = static_cast<float>(tenon_log(sum));
  const auto logprob = [&](std::int32_t token) { return (logits[token] - top) - log_total; };
  if (row.target >= 0) {
    result.token = row.target;
  } else if (row.temperature == 0 && row.n_adjust == 0) {
    result.token = first_index_of(logits, n, top);
  } else {
    scratch.z.assign(logits, logits + n);
    for (std::int32_t i = 0; i < row.n_adjust; ++i) {
      const tenon_sample_adjust& adjust = row.adjust[i];
      float& z = scratch.z[static_cast<std::size_t>(adjust.token)];
      z = (z > 0 ? z / adjust.repetition : z * adjust.repetition) + adjust.add;
    }
    result.token = row.temperature == 0
                       ? first_index_of(scratch.z.data(), n, loops.most(scratch.z.data(), n))
                       : choose(row, n, loops, scratch);
  }
  result.logprob = logprob(result.token);
  if (row.n_top > 0) {
    find_largest(logits, n, top, static_cast<std::size_t>(row.n_top), scratch.order);
    for (std::int32_t i = 0; i < row.n_top; ++i) {
      const std::int32_t token = scratch.order[static_cast<std::size_t>(i)];
      result.top[i] = {token, logprob(token)};
    }
  }
}

}  // namespace tenon::sdk
