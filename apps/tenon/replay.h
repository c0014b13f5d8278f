// Runs a trace against an engine, in real time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/load/loaded_engine.h"
#include "core/trace/metrics.h"
#include "core/trace/trace.h"

namespace tenon::app {

struct StepTime {
  double seconds = 0;
  double cpu = 0;           // of the process; on a machine that is not quiet, says more
  std::int64_t rows = 0;    // tokens computed
  std::int64_t tokens = 0;  // tokens generated
};

struct Replay {
  std::vector<RequestTimes> requests;  // as far as they arrived
  std::vector<StepTime> steps;
  std::uint64_t preemptions = 0, prefix_hit_tokens = 0;
  std::size_t refused = 0;
  std::optional<Error> first_refusal;
  bool interrupted = false;  // ended early: by Ctrl-C
};

struct ReplayProgress {
  double seconds = 0;
  std::size_t arrived = 0, ended = 0, all = 0;
};

// Submits each row when its time comes, divided by `speed`, between steps, and steps until all have
// ended or the user interrupts. `round`: see segment_tokens(). Requests have the manifest's
// sampling, and go on after the model's end token.
Result<Replay> replay_trace(LoadedEngine& loaded, std::span<const TraceRow> rows, double speed,
                            std::uint64_t round,
                            const std::function<void(const ReplayProgress&)>& progress);

// Brings weights and code into memory and wakes the threads.
Status warm_up(LoadedEngine& loaded);

}  // namespace tenon::app
