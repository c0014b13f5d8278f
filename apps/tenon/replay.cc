#include "apps/tenon/replay.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>

#include "apps/tenon/interrupt.h"
#include "apps/tenon/session.h"

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;

// All of them where a vocabulary says of none that it is normal.
std::vector<std::int32_t> normal_tokens(const Tokenizer& tokenizer) {
  std::vector<std::int32_t> out;
  for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    if (tokenizer.kind(id) == TokenKind::kNormal) out.push_back(id);
  if (out.empty()) {
    out.resize(static_cast<std::size_t>(tokenizer.vocabulary_size()));
    std::iota(out.begin(), out.end(), 0);
  }
  return out;
}

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Replayer {
 public:
  Replayer(LoadedEngine& loaded, std::span<const TraceRow> rows, double speed)
      : loaded_(loaded),
        engine_(loaded.engine()),
        rows_(rows),
        speed_(speed),
        alphabet_(normal_tokens(loaded.tokenizer())) {
    replay_.requests.reserve(rows.size());  // callbacks keep pointers
  }

  Result<Replay> run(std::uint64_t round,
                     const std::function<void(const ReplayProgress&)>& progress) {
    const EngineStats before = engine_.stats();
    // Before the clock starts: making tokens takes time.
    std::vector<std::vector<std::int32_t>> prompts;
    for (const TraceRow& row : rows_) prompts.push_back(prompt_of(row, round));
    start_ = Clock::now();
    while (replay_.requests.size() < rows_.size() || engine_.live() > 0) {
      if (interrupted()) {
        replay_.interrupted = true;
        break;
      }
      submit_arrived(prompts);
      progress({now(), replay_.requests.size(), ended_, rows_.size()});
      if (engine_.live() == 0) {
        wait();
        continue;
      }
      if (Status status = step(); !status.ok()) {
        end_all();
        return status.take_error();
      }
    }
    end_all();
    replay_.preemptions = engine_.stats().preemptions - before.preemptions;
    replay_.prefix_hit_tokens = engine_.stats().prefix_hit_tokens - before.prefix_hit_tokens;
    return std::move(replay_);
  }

 private:
  struct Waiting {
    std::uint64_t id;
    RequestTimes* times;
  };

  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  std::vector<std::int32_t> prompt_of(const TraceRow& row, std::uint64_t round) const {
    return row.prompt.empty() ? segment_tokens(row, alphabet_, round)
                              : loaded_.tokenizer().encode(row.prompt, false);
  }

  void submit_arrived(std::vector<std::vector<std::int32_t>>& prompts) {
    while (replay_.requests.size() < rows_.size()) {
      const std::size_t index = replay_.requests.size();
      const TraceRow& row = rows_[index];
      if (row.arrival / speed_ > now()) return;
      RequestTimes& times = replay_.requests.emplace_back();
      times.arrival = row.arrival / speed_;
      times.prompt_tokens = static_cast<std::int64_t>(prompts[index].size());
      RequestSpec spec = loaded_.default_request();
      spec.prompt = std::move(prompts[index]);
      spec.adapter = row.adapter;
      spec.max_tokens = row.max_tokens;
      spec.ignore_eos = true;
      times.tokens.reserve(static_cast<std::size_t>(row.max_tokens));
      spec.on_event = [this, &times](const TokenEvent& event) {
        if (event.token >= 0) times.tokens.push_back(now());
        if (event.finish == FinishReason::kNone) return;
        times.finished = event.finish != FinishReason::kAborted;
        ++ended_;
      };
      Result<std::uint64_t> id = engine_.submit(std::move(spec));
      if (id.ok()) {
        waiting_.push_back({*id, &times});
        ids_.push_back(*id);
        continue;
      }
      ++replay_.refused;
      ++ended_;
      if (!replay_.first_refusal) replay_.first_refusal = id.take_error();
    }
  }

  Status step() {
    const EngineStats before = engine_.stats();
    const double from = now(), cpu_from = cpu_seconds();
    TENON_ASSIGN([[maybe_unused]] const bool more, engine_.step());
    const EngineStats& after = engine_.stats();
    if (after.steps > before.steps)
      replay_.steps.push_back(
          {now() - from, cpu_seconds() - cpu_from,
           static_cast<std::int64_t>(after.rows - before.rows),
           static_cast<std::int64_t>(after.generated_tokens - before.generated_tokens)});
    std::erase_if(waiting_, [&](const Waiting& waiting) {
      const bool started = !waiting.times->tokens.empty() || engine_.is_running(waiting.id);
      if (started) waiting.times->started = from;
      return started;
    });
    return {};
  }

  // Until the next request, in pieces that an interrupt can end.
  void wait() {
    if (replay_.requests.size() == rows_.size()) return;
    const double left = rows_[replay_.requests.size()].arrival / speed_ - now();
    if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.05)));
  }

  // What was submitted must not outlive what its callbacks refer to.
  void end_all() {
    for (const std::uint64_t id : ids_) engine_.abort(id);
    if (engine_.live() > 0) [[maybe_unused]]
      const Result<bool> ended = engine_.step();
  }

  LoadedEngine& loaded_;
  Engine& engine_;
  std::span<const TraceRow> rows_;
  double speed_;
  std::vector<std::int32_t> alphabet_;
  Clock::time_point start_;
  Replay replay_;
  std::vector<Waiting> waiting_;  // submitted and not started yet
  std::vector<std::uint64_t> ids_;
  std::size_t ended_ = 0;
};

}  // namespace

Result<Replay> replay_trace(LoadedEngine& loaded, std::span<const TraceRow> rows, double speed,
                            std::uint64_t round,
                            const std::function<void(const ReplayProgress&)>& progress) {
  return Replayer(loaded, rows, speed).run(round, progress);
}

Status warm_up(LoadedEngine& loaded) {
  const std::vector<std::int32_t> alphabet = normal_tokens(loaded.tokenizer());
  const TraceRow row{
      .segments = {{.seed = ~std::uint64_t{0}, .tokens = std::min(64, loaded.context() / 2)}},
      .max_tokens = 8};
  RequestSpec spec = loaded.default_request();
  spec.prompt = segment_tokens(row, alphabet, 0);
  spec.max_tokens = row.max_tokens;
  spec.ignore_eos = true;
  TENON_ASSIGN(const std::uint64_t id, loaded.engine().submit(std::move(spec)));
  return run_until_done(loaded.engine(), {id});
}

}  // namespace tenon::app
