// What replays of a trace came to: complete rounds of each arm, and how they are printed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/tenon/replay.h"
#include "core/base/error.h"
#include "core/trace/metrics.h"

namespace tenon::app {

struct ReplayRound {
  std::uint64_t number = 0;          // from 1
  std::vector<NamedNumber> numbers;  // the same names in each
  std::vector<StepTime> steps;
};

struct ReplayArm {
  std::string manifest;                     // empty: the built-in one
  std::string scheduler, device, numerics;  // empty until an engine was loaded for a round
  std::uint32_t threads = 0;
  std::vector<ReplayRound> rounds;       // complete ones
  std::optional<ReplayRound> partial;    // ended by an interrupt; in no median
  std::size_t arrived = 0, refused = 0;  // of all rounds
  std::optional<Error> refusal;          // the first

  bool measured() const { return !rounds.empty() || partial; }
  bool refused_all() const { return refused > 0 && refused == arrived; }
};

struct ReplayReport {
  std::string trace;         // its file
  std::size_t requests = 0;  // of the trace
  double speed = 1;
  ServiceBounds bounds;
  bool interrupted = false;
  std::vector<ReplayArm> arms;
};

// Takes the next round of an arm, complete or not. `requests`: of the trace; those that had not
// come when an interrupt ended the round count as unfinished. A refusal for want of an adapter says
// which options of this command help.
void add_round(Replay replay, std::size_t requests, const ServiceBounds& bounds, ReplayArm& arm);

// One object, and the page of tables; both end with a line's end.
std::string replay_json(const ReplayReport& report);
std::string replay_tables(const ReplayReport& report);

}  // namespace tenon::app
