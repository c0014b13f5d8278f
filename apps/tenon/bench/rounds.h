// The rounds of all arms, in turns: warm up until nothing changes any more, then measure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/tenon/bench/arm.h"
#include "apps/tenon/bench/cell.h"

namespace tenon::app {

struct BenchPlan {
  std::vector<BenchCell> cells;
  std::int64_t rounds = 5;
  std::int64_t warm_up = 10;  // the most rounds of it
};

// Of one arm in one cell, a value a round; `gaps` of all rounds pooled.
struct ArmSamples {
  std::vector<double> prefill, decode, gaps;
  std::int64_t spared = 0;  // of the last round
};

struct CellResult {
  BenchCell cell;
  std::int64_t warm_rounds = 0;
  bool steady = false;           // warming up ended because rounds agreed, not at its bound
  double others = 0;             // share of the processors' time that other processes had
  std::vector<ArmSamples> arms;  // beside the arms
};

// Warming up is over when the last three rates of each arm lie within 5 % of one another. A round
// measures each arm once, in a random order that is the same every time. `progress` is told what
// comes next. Errors are those of the arms.
Result<std::vector<CellResult>> run_rounds(
    const BenchPlan& plan, std::vector<BenchArm>& arms,
    const std::function<void(const std::string& what)>& progress);

inline constexpr std::int64_t kRoundsThatAgree = 3;

// Do the last three agree? For warming up.
bool has_settled(const std::vector<double>& rates);

}  // namespace tenon::app
