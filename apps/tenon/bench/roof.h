// How fast a machine of these limits could be at most. Attention's products, activations and
// whatever is not a product or a read of weights and keys are left out, so nothing reaches it.
#pragma once

#include "apps/tenon/bench/cell.h"
#include "apps/tenon/bench/facts.h"
#include "apps/tenon/bench/machine_limits.h"

namespace tenon::app {

struct Roof {
  double rate = 0;      // tokens a second; 0: nothing to bound
  bool memory = false;  // reading bounds it, not computing
};

// Products of the body for every token, of the head for each sequence's last, all weights read
// once.
Roof prefill_roof(const BenchCell& cell, const BenchFacts& facts, const Throughput& limits);
// A step of one token a sequence: all weights read once, each sequence's keys and values at the
// middle of the generation.
Roof decode_roof(const BenchCell& cell, const BenchFacts& facts, const Throughput& limits);

}  // namespace tenon::app
