// What answers must be beside those of an engine in which the plugin's oracle stands in its place.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/conform/test.h"
#include "core/conform/tiny_engine.h"

namespace tenon::conform {

// How far answers are from what they should be.
struct Distance {
  bool equal = true;       // every token and bit
  double worst = 0;        // of log-probabilities, as far as the tokens are the same
  std::size_t tokens = 0;  // that are the same, from the beginning of each answer on
  std::size_t of_tokens = 0;
};
Distance distance(const std::vector<TinyAnswer>& got, const std::vector<TinyAnswer>& want);
std::string distance_text(const Distance& distance);  // "equal", or how far, in words

// Holds `got` to the numerics class of the plugin: EXACT has every bit of `want`, SPLIT is within a
// bound, APPROX is not compared (skipped). A backend and a network have sums of their own, which
// must be close; with an adapter plugin, requests without an adapter keep their bits and the others
// do not. What passes says how far it is. `rounded`: on a backend that rounds activations, where a
// sum that is cut elsewhere rounds elsewhere.
Finding compare_with_oracle(const PluginDescriptor& plugin, const std::vector<TinyAnswer>& got,
                            const std::vector<TinyAnswer>& want, bool rounded = false);

}  // namespace tenon::conform
