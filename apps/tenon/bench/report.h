// What a benchmark says: a table for people, JSON for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/tenon/bench/machine_limits.h"
#include "apps/tenon/bench/rounds.h"
#include "core/trace/comparison.h"

namespace tenon::app {

struct BenchReport {
  BenchPlan plan;
  std::vector<BenchArm> arms;  // one; or A, A again, B
  std::vector<CellResult> cells;
  std::optional<MachineLimits> limits;  // for the threads of A

  bool compares() const { return arms.size() == 3; }
};

enum class BenchRate { kPrefill, kDecode };

// B against A, with the noise of A against itself.
SampleComparison comparison_of(const CellResult& cell, BenchRate rate);
// "faster", "slower", "no difference", "too few rounds"; of rates.
const char* verdict_text(Difference difference);

std::string bench_table(const BenchReport& report);
// One line: {"prefill_tps", "decode_tps", "rounds", "prefill_range", "decode_range"}; of several
// cells {"cells": [the same with the cell's numbers]}. Of A.
std::string bench_summary(const BenchReport& report);
// One line with all there is: docs/operate/benchmarks.md.
std::string bench_json(const BenchReport& report);

std::string limits_table(const MachineLimits& limits);
std::string limits_json(const MachineLimits& limits);

// What a reader should know before believing the numbers; one each.
std::vector<std::string> bench_warnings(const BenchReport& report);

}  // namespace tenon::app
