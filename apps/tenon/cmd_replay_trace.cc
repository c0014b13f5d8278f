// A trace against one engine or several arms in turns: medians over the rounds, and their ranges.
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/progress.h"
#include "apps/tenon/replay_report.h"
#include "apps/tenon/session.h"
#include "core/base/log.h"

namespace tenon::app {
namespace {

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

// Names the arm in an error that does not.
Error in_arm(Error error, const std::string& manifest) {
  if (!manifest.empty() && error.where.find(manifest) == std::string::npos)
    error.where = manifest + (error.where.empty() ? "" : ": " + error.where);
  return error;
}

EngineChoice choice_of(const ReplayTraceCommand& command, const ReplayArm& arm) {
  EngineChoice choice = command.engine;
  choice.manifest = arm.manifest;
  return choice;
}

// Loads each of several arms and drops it again, so that one that cannot work costs no measuring of
// those before it. False when it was interrupted.
Result<bool> check_arms(const ReplayTraceCommand& command, const std::vector<ReplayArm>& arms) {
  for (const ReplayArm& arm : arms) {
    if (arms.size() == 1) break;  // its first round does the same
    auto session = open_session(choice_of(command, arm));
    if (!session.ok() && session.error().code != Code::kCancelled)
      return in_arm(session.take_error(), arm.manifest);
    if (interrupted() || !session.ok()) return false;
  }
  return true;
}

// One round of one arm, on an engine of its own. False when it was interrupted.
Result<bool> run_round(const ReplayTraceCommand& command, const std::vector<TraceRow>& rows,
                       std::uint64_t round, const std::string& what, ReplayArm& arm) {
  TENON_ASSIGN(const std::unique_ptr<Session> session, open_session(choice_of(command, arm)));
  LoadedEngine& loaded = *session->engine;
  arm.scheduler = session->manifest.scheduler.plugin;
  arm.device = loaded.device();
  arm.numerics = loaded.numerics();
  arm.threads = loaded.threads();
  if (interrupted()) return false;
  TENON_TRY(warm_up(loaded));
  StatusLine line;
  const auto show = [&](const ReplayProgress& progress) {
    if (!line.due()) return;
    char text[80];
    std::snprintf(text, sizeof text, ": %.0f s, %zu of %zu arrived, %zu ended", progress.seconds,
                  progress.arrived, progress.all, progress.ended);
    line.show(what + text);
  };
  TENON_ASSIGN(Replay replay, replay_trace(loaded, rows, command.speed, round, show));
  line.close();
  TENON_TRY(report_profile(loaded, command.engine));
  const bool whole = !replay.interrupted;
  add_round(std::move(replay), rows.size(), command.bounds, arm);
  return whole;
}

// The rounds of all arms in turns. False when it was interrupted, wherever that was: what the arms
// have by then stays.
Result<bool> run_arms(const ReplayTraceCommand& command, const std::vector<TraceRow>& rows,
                      std::vector<ReplayArm>& arms) {
  TENON_ASSIGN(const bool checked, check_arms(command, arms));
  if (!checked) return false;
  for (std::int64_t round = 0; round < command.rounds; ++round)
    for (std::size_t i = 0; i < arms.size(); ++i) {
      if (interrupted()) return false;
      const std::string what = "arm " + std::to_string(i + 1) + " of " +
                               std::to_string(arms.size()) + ", round " +
                               std::to_string(round + 1) + " of " + std::to_string(command.rounds);
      Result<bool> whole =
          run_round(command, rows, static_cast<std::uint64_t>(round), what, arms[i]);
      if (!whole.ok() && whole.error().code != Code::kCancelled)
        return in_arm(whole.take_error(), arms.size() > 1 ? arms[i].manifest : "");
      if (!whole.ok() || !*whole) return false;
    }
  return true;
}

// An arm that refused everything measured nothing: that is an error. Some refusals are a warning.
// The exit code.
int report_refusals(const ReplayReport& report) {
  int code = kExitOk;
  for (const ReplayArm& arm : report.arms) {
    if (!arm.refusal) continue;
    if (arm.refused_all())
      code =
          report_error(report.arms.size() > 1 ? in_arm(*arm.refusal, arm.manifest) : *arm.refusal);
    else
      log(Severity::kWarning, "replay",
          std::to_string(arm.refused) + " of " + std::to_string(arm.arrived) +
              " requests were refused" + (arm.manifest.empty() ? "" : " by " + arm.manifest) +
              "; the first: " + arm.refusal->to_string());
  }
  return code;
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
  ReplayReport report{.trace = command.generate ? "(generated)" : command.file,
                      .requests = rows->size(),
                      .speed = command.speed,
                      .bounds = command.bounds};
  std::vector<ReplayArm>& arms = report.arms;
  for (const std::string& manifest : command.manifests) arms.push_back({.manifest = manifest});
  if (arms.empty()) arms.emplace_back();
  const Result<bool> whole = run_arms(command, *rows, arms);
  if (!whole.ok()) return report_error(whole.error(), command.json);
  report.interrupted = !*whole;
  if (std::none_of(arms.begin(), arms.end(), [](const ReplayArm& arm) { return arm.measured(); }))
    return report_error({.code = Code::kCancelled,
                         .id = "TENON-A017",
                         .message = "interrupted before anything was measured"},
                        command.json);
  const std::string text = command.json ? replay_json(report) : replay_tables(report);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  const int refused = report_refusals(report);
  return report.interrupted ? int{kExitInterrupted} : refused;
}

}  // namespace tenon::app
