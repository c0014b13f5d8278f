// A trace against one engine or several arms in turns: medians over the rounds, and their ranges.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/replay.h"
#include "apps/tenon/session.h"
#include "core/base/log.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Arm {
  std::string manifest, scheduler, device, numerics;  // manifest: "(built-in manifest)" for none
  std::uint32_t threads = 0;
  std::vector<std::vector<NamedNumber>> rounds;  // the same names in each
  std::vector<StepTime> steps;                   // of all rounds
  std::optional<Error> refusal;
};

// One line, rewritten on a terminal; a line every ten seconds elsewhere.
class ReplayDisplay {
 public:
  explicit ReplayDisplay(std::string what)
      : what_(std::move(what)),
        terminal_(::isatty(STDERR_FILENO) == 1),
        next_(Clock::now() + std::chrono::seconds(terminal_ ? 0 : 10)) {}
  ~ReplayDisplay() {
    if (open_) std::fputc('\n', stderr);
  }
  ReplayDisplay(const ReplayDisplay&) = delete;
  ReplayDisplay& operator=(const ReplayDisplay&) = delete;

  void show(const ReplayProgress& progress) {
    const Clock::time_point now = Clock::now();
    if (now < next_) return;
    next_ = now + (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10));
    std::fprintf(stderr, "%s%s: %.0f s, %zu of %zu arrived, %zu ended%s", terminal_ ? "\r" : "",
                 what_.c_str(), progress.seconds, progress.arrived, progress.all, progress.ended,
                 terminal_ ? "\x1b[K" : "\n");
    std::fflush(stderr);
    open_ = terminal_;
  }

 private:
  std::string what_;
  bool terminal_, open_ = false;
  Clock::time_point next_;
};

Result<std::vector<TraceRow>> trace_of(const ReplayTraceCommand& command) {
  if (command.generate) return generate_trace(command.shape);
  if (!command.file.empty()) return read_trace(command.file);
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A024",
               .message = "there is no trace to replay",
               .fix = "name a file, or make one with --generate"};
}

Status write_trace(const std::vector<TraceRow>& rows, const std::string& path) {
  std::string text;
  for (const TraceRow& row : rows) text += trace_line(row);
  if (path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return {};
  return Error{.code = Code::kUnavailable,
               .id = "TENON-A025",
               .message = "cannot write the trace",
               .where = path};
}

std::vector<NamedNumber> numbers_of(const Replay& replay, const ServiceBounds& bounds) {
  std::vector<NamedNumber> out = named_numbers(metrics_of(replay.requests, bounds));
  out.push_back({"refused", static_cast<double>(replay.refused)});
  out.push_back({"steps", static_cast<double>(replay.steps.size())});
  out.push_back({"preemptions", static_cast<double>(replay.preemptions)});
  out.push_back({"prefix_hit_tokens", static_cast<double>(replay.prefix_hit_tokens)});
  return out;
}

// One round of one arm, on an engine of its own. False when it was interrupted.
Result<bool> run_round(const ReplayTraceCommand& command, const std::vector<TraceRow>& rows,
                       std::uint64_t round, const std::string& what, Arm& arm) {
  EngineChoice choice = command.engine;
  choice.manifest = arm.manifest;
  TENON_ASSIGN(const std::unique_ptr<Session> session, open_session(choice));
  LoadedEngine& loaded = *session->engine;
  arm.scheduler = session->manifest.scheduler.plugin;
  arm.device = loaded.device();
  arm.numerics = loaded.numerics();
  arm.threads = loaded.threads();
  TENON_TRY(warm_up(loaded));
  ReplayDisplay display(what);
  TENON_ASSIGN(Replay replay, replay_trace(loaded, rows, command.speed, round,
                                           [&](const ReplayProgress& p) { display.show(p); }));
  arm.rounds.push_back(numbers_of(replay, command.bounds));
  arm.steps.insert(arm.steps.end(), replay.steps.begin(), replay.steps.end());
  if (!arm.refusal) arm.refusal = std::move(replay.first_refusal);
  return !replay.interrupted;
}

struct Summary {
  std::string name;
  double median = 0, least = 0, most = 0;
};

std::vector<Summary> summary_of(const Arm& arm) {
  std::vector<Summary> out;
  for (std::size_t i = 0; !arm.rounds.empty() && i < arm.rounds[0].size(); ++i) {
    std::vector<double> values;
    for (const std::vector<NamedNumber>& round : arm.rounds) values.push_back(round[i].value);
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    out.push_back({arm.rounds[0][i].name, median_of(values), *least, *most});
  }
  return out;
}

// Steps that computed equally many rows and gave equally many tokens: what a row costs.
ordered_json steps_by_rows(const Arm& arm) {
  struct Group {
    std::vector<double> seconds, cpu;
  };
  std::map<std::pair<std::int64_t, std::int64_t>, Group> groups;
  for (const StepTime& step : arm.steps) {
    groups[{step.rows, step.tokens}].seconds.push_back(step.seconds);
    groups[{step.rows, step.tokens}].cpu.push_back(step.cpu);
  }
  ordered_json out = ordered_json::array();
  for (const auto& [key, group] : groups)
    out.push_back({{"rows", key.first},
                   {"tokens", key.second},
                   {"steps", group.seconds.size()},
                   {"median_s", median_of(group.seconds)},
                   {"median_cpu_s", median_of(group.cpu)}});
  return out;
}

ordered_json json_of(const Arm& arm) {
  ordered_json out = {{"manifest", arm.manifest.empty() ? "(built-in manifest)" : arm.manifest},
                      {"scheduler", arm.scheduler},
                      {"device", arm.device},
                      {"numerics", arm.numerics},
                      {"threads", arm.threads}};
  for (const Summary& s : summary_of(arm)) {
    out["median"][s.name] = s.median;
    out["least"][s.name] = s.least;
    out["most"][s.name] = s.most;
  }
  out["rounds"] = ordered_json::array();
  for (const std::vector<NamedNumber>& round : arm.rounds) {
    ordered_json numbers;
    for (const NamedNumber& number : round) numbers[number.name] = number.value;
    out["rounds"].push_back(std::move(numbers));
  }
  out["steps_by_rows"] = steps_by_rows(arm);
  if (arm.refusal) out["first_refusal"] = arm.refusal->to_string();
  return out;
}

void print_json(const ReplayTraceCommand& command, std::size_t requests,
                const std::vector<Arm>& arms) {
  ordered_json out = {{"trace", command.generate ? "(generated)" : command.file},
                      {"trace_requests", requests},
                      {"speed", command.speed}};
  out["slo_ttft_s"] = command.bounds.ttft ? ordered_json(*command.bounds.ttft) : nullptr;
  out["slo_tpot_s"] = command.bounds.tpot ? ordered_json(*command.bounds.tpot) : nullptr;
  out["arms"] = ordered_json::array();
  for (const Arm& arm : arms) out["arms"].push_back(json_of(arm));
  std::puts(out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

void print_table(const Arm& arm) {
  const std::vector<Summary> all = summary_of(arm);
  const auto find = [&](const std::string& name) {
    return *std::find_if(all.begin(), all.end(), [&](const Summary& s) { return s.name == name; });
  };
  const auto median = [&](const std::string& name) { return find(name).median; };
  std::printf("%s\n  %s, %s, %u threads, %zu round%s%s\n",
              arm.manifest.empty() ? "(built-in manifest)" : arm.manifest.c_str(),
              arm.scheduler.c_str(), arm.device.c_str(), arm.threads, arm.rounds.size(),
              arm.rounds.size() == 1 ? "" : "s: medians, [least to most]",
              arm.rounds.empty() ? ", interrupted before the first" : "");
  if (arm.rounds.empty()) return;
  std::printf("  %-8s %9s %9s %9s %9s %9s\n", "seconds", "mean", "p50", "p90", "p99", "max");
  for (const auto& [title, name] : {std::pair{"TTFT", "ttft_s"},
                                    {"TPOT", "tpot_s"},
                                    {"ITL", "itl_s"},
                                    {"E2E", "e2e_s"},
                                    {"queue", "queue_s"}}) {
    const std::string key = name;
    std::printf("  %-8s %9.4f %9.4f %9.4f %9.4f %9.4f", title, median(key + ".mean"),
                median(key + ".p50"), median(key + ".p90"), median(key + ".p99"),
                median(key + ".max"));
    if (arm.rounds.size() > 1) {
      const Summary most = find(key + ".max");
      std::printf("  [%.4f to %.4f]", most.least, most.most);
    }
    std::puts("");
  }
  std::printf("  %.0f of %.0f requests finished in %.3f s: %.3f/s, goodput %.3f/s\n",
              median("finished"), median("requests"), median("duration_s"),
              median("requests_per_s"), median("goodput_per_s"));
  std::printf("  output %.2f tokens/s, with prompts %.2f tokens/s\n", median("output_tokens_per_s"),
              median("total_tokens_per_s"));
  std::printf("  %.0f steps, %.0f preemptions, %.0f tokens from caches, %.0f refused\n",
              median("steps"), median("preemptions"), median("prefix_hit_tokens"),
              median("refused"));
  if (arm.refusal) std::printf("  first refusal: %s\n", arm.refusal->to_string().c_str());
}

// The rounds of all arms in turns. False when it was interrupted.
Result<bool> run_arms(const ReplayTraceCommand& command, const std::vector<TraceRow>& rows,
                      std::vector<Arm>& arms) {
  for (std::int64_t round = 0; round < command.rounds; ++round)
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const std::string what = "arm " + std::to_string(i + 1) + " of " +
                               std::to_string(arms.size()) + ", round " +
                               std::to_string(round + 1) + " of " + std::to_string(command.rounds);
      TENON_ASSIGN(const bool whole,
                   run_round(command, rows, static_cast<std::uint64_t>(round), what, arms[i]));
      if (!whole) return false;
    }
  return true;
}

}  // namespace

int run_command(const ReplayTraceCommand& command) {
  auto rows = trace_of(command);
  if (!rows.ok()) return report_error(rows.error(), command.json);
  if (!command.out.empty()) {
    const Status written = write_trace(*rows, command.out);
    return written.ok() ? int{kExitOk} : report_error(written.error(), command.json);
  }
  if (command.ignore_adapters)
    for (TraceRow& row : *rows) row.adapter.clear();
  std::vector<Arm> arms;
  for (const std::string& manifest : command.manifests) arms.push_back({.manifest = manifest});
  if (arms.empty()) arms.emplace_back();
  const Result<bool> whole = run_arms(command, *rows, arms);
  if (!whole.ok()) return report_error(whole.error(), command.json);
  if (command.json)
    print_json(command, rows->size(), arms);
  else
    for (const Arm& arm : arms) print_table(arm);
  return *whole ? kExitOk : kExitInterrupted;
}

}  // namespace tenon::app
