#include "core/conform/random_trace.h"

namespace tenon::conform {
namespace {

struct Outcomes {
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<FinishReason> ends;
  explicit Outcomes(std::size_t n) : tokens(n), ends(n, FinishReason::kNone) {}
};

Error wrong(const char* id, std::string message, std::string found = {}) {
  return Error{.code = Code::kFailedPrecondition,
               .id = id,
               .message = std::move(message),
               .found = std::move(found)};
}

Status submit_arrivals(Engine& engine, const RandomTrace& trace, std::uint64_t step,
                       Outcomes& outcomes, std::vector<std::uint64_t>& ids) {
  while (ids.size() < trace.requests.size() && trace.requests[ids.size()].arrival <= step) {
    const std::size_t i = ids.size();
    RequestSpec spec = trace.requests[i].spec;
    spec.on_event = [&outcomes, i](const TokenEvent& event) {
      if (event.token >= 0) outcomes.tokens[i].push_back(event.token);
      outcomes.ends[i] = event.finish;
    };
    TENON_ASSIGN(const std::uint64_t id, engine.submit(std::move(spec)));
    ids.push_back(id);
  }
  return {};
}

Status compare(const RandomTrace& trace, const Outcomes& outcomes) {
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const std::vector<std::int32_t>& got = outcomes.tokens[i];
    const std::vector<std::int32_t> expected = SimulatedEngine::answer_of(trace.requests[i].spec);
    const bool aborted = outcomes.ends[i] == FinishReason::kAborted;
    const bool same = got.size() <= expected.size() &&
                      std::equal(got.begin(), got.end(), expected.begin()) &&
                      (aborted || got.size() == expected.size());
    if (!same || (!aborted && outcomes.ends[i] != FinishReason::kLength))
      return wrong("TENON-K012", "a request got another answer than it gets alone",
                   "request " + std::to_string(i) + " of the trace, " + std::to_string(got.size()) +
                       " of " + std::to_string(expected.size()) + " tokens");
  }
  return {};
}

}  // namespace

Result<std::uint64_t> run_trace(SimulatedEngine& simulated, const RandomTrace& trace) {
  Engine& engine = simulated.engine();
  Outcomes outcomes(trace.requests.size());
  std::vector<std::uint64_t> ids;
  std::uint64_t step = 0;
  for (; ids.size() < trace.requests.size() || engine.live() > 0; ++step) {
    if (step > trace.step_bound)
      return wrong(
          "TENON-K010", "starvation: requests are still live after the trace's bound",
          std::to_string(engine.live()) + " live after " + std::to_string(step) + " steps");
    TENON_TRY(submit_arrivals(engine, trace, step, outcomes, ids));
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (trace.requests[i].abort == step && step > 0) engine.abort(ids[i]);
    const auto more = engine.step();
    if (!more.ok()) return Error(more.error());
  }
  if (!simulated.is_empty()) return wrong("TENON-K011", "pages leaked");
  TENON_TRY(compare(trace, outcomes));
  return step;
}

}  // namespace tenon::conform
