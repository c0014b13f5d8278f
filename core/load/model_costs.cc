#include "core/load/model_costs.h"

#include <algorithm>

#include "core/tensor/codec.h"

namespace tenon {
namespace {

double bits_of_value(const WeightShape& weight) {
  if (weight.layout == TENON_LAYOUT_F32) return 32;
  const double of_scale = 16.0 / static_cast<double>(layout_group(weight.layout));
  return (weight.layout == TENON_LAYOUT_Q4M32 ? 4 : 8) + (weight.has_min ? 2 : 1) * of_scale;
}

void add(const WeightShape& weight, std::vector<WeightCost>& to) {
  auto at = std::find_if(to.begin(), to.end(),
                         [&](const WeightCost& cost) { return cost.layout == weight.layout; });
  if (at == to.end()) at = to.insert(at, {.layout = weight.layout});
  const auto values = static_cast<double>(weight.n * weight.k);
  at->values += values;
  const auto file_bytes = static_cast<double>(weight.bytes);
  const double layout_bytes = values * bits_of_value(weight) / 8;
  at->bytes += file_bytes > 0 ? std::min(layout_bytes, file_bytes) : layout_bytes;
  at->file_bytes += file_bytes;
}

}  // namespace

void add_costs(const ModelShape& model, bool first_rank, ModelCosts& costs) {
  for (const LinearGroupShape& group : model.groups)
    for (const std::uint32_t id : group.weights) {
      const WeightShape& weight = model.weights[id];
      const bool head = weight.n == model.decoder.vocabulary;
      if (!head || first_rank) add(weight, head ? costs.head : costs.body);
    }
}

double bytes_of(std::span<const WeightCost> weights) {
  double out = 0;
  for (const WeightCost& weight : weights) out += weight.bytes;
  return out;
}

double values_of(std::span<const WeightCost> weights, bool f32) {
  double out = 0;
  for (const WeightCost& weight : weights)
    if ((weight.layout == TENON_LAYOUT_F32) == f32) out += weight.values;
  return out;
}

double kv_bytes_read(std::span<const KvPoolSize> pools, double tokens) {
  constexpr double kPage = 64;
  double out = 0;
  for (const KvPoolSize& pool : pools)
    out += static_cast<double>(pool.page_bytes) / kPage *
           (pool.window > 0 ? std::min(tokens, static_cast<double>(pool.window)) : tokens);
  return out;
}

}  // namespace tenon
