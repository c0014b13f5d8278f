// What a token costs at the very least, from the shapes that were declared: what a measurement is
// held against.
#pragma once

#include <span>
#include <vector>

#include "core/load/kv_budget.h"
#include "core/ops/model_shape.h"

namespace tenon {

// The weights of one layout that products read.
struct WeightCost {
  tenon_layout layout = TENON_LAYOUT_F32;
  double values = 0;
  // In that layout, scales and mins as halves, or as the file stores them where that is less: no
  // kernel reads less.
  double bytes = 0;
  double file_bytes = 0;  // as the file stores them
};

struct ModelCosts {
  std::vector<WeightCost> body;  // of every token
  std::vector<WeightCost> head;  // of tokens that are sampled: groups with a vocabulary's outputs
};

// Adds what one rank holds. Only the first computes the head.
void add_costs(const ModelShape& model, bool first_rank, ModelCosts& costs);

double bytes_of(std::span<const WeightCost> weights);
// Values of the f32 layout, or those of all others.
double values_of(std::span<const WeightCost> weights, bool f32);

// Bytes of keys and values that one new token reads behind `tokens` others.
double kv_bytes_read(std::span<const KvPoolSize> pools, double tokens);

}  // namespace tenon
