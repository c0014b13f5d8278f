#include "apps/tenon/bench/roof.h"

#include <algorithm>

namespace tenon::app {
namespace {

// Seconds for products of `rows` rows with the weights.
double product_time(std::span<const WeightCost> weights, double rows, const Throughput& limits) {
  return 2 * rows *
         (values_of(weights, false) / limits.int8_ops + values_of(weights, true) / limits.f32_ops);
}

Roof roof_of(double tokens, double compute_time, double read_time) {
  if (tokens <= 0) return {};
  return {tokens / std::max(compute_time, read_time), read_time > compute_time};
}

double weight_bytes(const BenchFacts& facts) {
  return bytes_of(facts.costs.body) + bytes_of(facts.costs.head);
}

}  // namespace

Roof prefill_roof(const BenchCell& cell, const BenchFacts& facts, const Throughput& limits) {
  const auto batch = static_cast<double>(cell.batch);
  const double tokens = batch * static_cast<double>(cell.prompt);
  return roof_of(tokens,
                 product_time(facts.costs.body, tokens, limits) +
                     product_time(facts.costs.head, batch, limits),
                 weight_bytes(facts) / limits.read);
}

Roof decode_roof(const BenchCell& cell, const BenchFacts& facts, const Throughput& limits) {
  if (cell.gen == 0) return {};
  const auto batch = static_cast<double>(cell.batch);
  const double behind =
      static_cast<double>(cell.depth + cell.prompt) + static_cast<double>(cell.gen) / 2;
  return roof_of(
      batch,
      product_time(facts.costs.body, batch, limits) + product_time(facts.costs.head, batch, limits),
      (weight_bytes(facts) + batch * kv_bytes_read(facts.pools, behind)) / limits.read);
}

}  // namespace tenon::app
