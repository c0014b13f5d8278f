// Work of this program in children of it, so that what crashes or hangs is a result, not the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

struct IsolatedResult {
  std::string written;  // the child's result file; empty when it wrote none
  std::string trouble;  // why it did not end well: a signal, a code, no time left; or empty
  bool hung = false;    // there was no time left
  double seconds = 0;
  std::string output;  // what it wrote to stdout and stderr
};

// Runs this binary with the arguments and "--result FILE"; temporary files of the child go with it.
// TENON-A074: no temporary folder; A020: it cannot be started.
Result<IsolatedResult> run_isolated(std::vector<std::string> arguments, double limit_seconds);

// `work(i)` for i < n, `jobs` at a time (0: one for each core), until done, interrupted
// (TENON-A017) or the first error. `work` is called from several threads at once.
Status for_each_at_once(std::size_t n, std::int64_t jobs,
                        const std::function<Status(std::size_t)>& work);

}  // namespace tenon::app
