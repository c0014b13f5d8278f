// One side of a benchmark: an engine in this process, or in a child that loads once and measures a
// round whenever it is told to, so that rounds of several arms can alternate.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/tenon/bench/cell.h"
#include "apps/tenon/bench/facts.h"
#include "apps/tenon/cli.h"

namespace tenon::app {

struct BenchArm {
  std::string name;  // "A"
  BenchFacts facts;
  int process = 0;  // a child's id; 0: this process
  std::function<Result<BenchRound>(const BenchCell& cell, std::uint64_t seed)> measure;
  std::function<Status()> finish;  // after the last round: reports what the command line asked for
};

// The cells of a command: every combination of its numbers.
std::vector<BenchCell> cells_of(const BenchCommand& command);

// Errors are those of loading the engine.
Result<BenchArm> open_arm(const BenchCommand& command);

// `words`: the arguments after "bench". An error of the child names the arm and is otherwise as in
// one process. TENON-A020: it cannot be started; A091: it ended by itself; A092: it is not
// understood.
Result<BenchArm> open_child_arm(const std::string& name, const std::string& binary,
                                std::vector<std::string> words);

// The words that make another `tenon bench` load the engine of this command; `more` stand over
// them.
std::vector<std::string> arm_words(const BenchCommand& command,
                                   const std::vector<std::string>& more);

// What a child does: facts on stdout, then a round for each line of stdin. The exit code.
int serve_arm(const BenchCommand& command);

}  // namespace tenon::app
