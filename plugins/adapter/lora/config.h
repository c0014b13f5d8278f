// adapter_config.json of a LoRA adapter.
#pragma once

#include <cmath>
#include <string>

#include "targets.h"

namespace tenon::lora {

struct Config {
  std::string base;  // base_model_name_or_path; only to be told
  std::int64_t rank = 0;
  double alpha = 0;
  bool rslora = false;
  Targets targets;
  PatternTable<std::int64_t> ranks;  // rank_pattern
  PatternTable<double> alphas;       // alpha_pattern

  std::int64_t rank_of(std::string_view module) const { return ranks.get(module, rank); }
  // alpha / r, or alpha / sqrt(r).
  double scale_of(std::string_view module) const {
    const auto r = static_cast<double>(rank_of(module));
    return alphas.get(module, alpha) / (rslora ? std::sqrt(r) : r);
  }
};

// Refuses by name whatever would change the result and is not computed here: a field that is not
// known, too, unless it says nothing (null, false, empty).
sdk::Status parse_config(std::string_view text, Config& out);

}  // namespace tenon::lora
