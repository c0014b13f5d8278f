// bench: rates of one engine, or of two in turns, beside what the machine can do.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <thread>

#include "apps/tenon/bench/arm.h"
#include "apps/tenon/bench/compare.h"
#include "apps/tenon/bench/machine_limits.h"
#include "apps/tenon/bench/report.h"
#include "apps/tenon/bench/rounds.h"
#include "apps/tenon/cli.h"
#include "apps/tenon/progress.h"
#include "core/base/log.h"

namespace tenon::app {
namespace {

constexpr std::int64_t kRounds = 5, kRoundsOfComparison = 10;

bool compares(const BenchCommand& command) {
  return !command.against.empty() || !command.against_binary.empty() ||
         !command.against_options.empty();
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(std::move(word));
  return out;
}

// A, A again, B: each a process of its own, so that none has what another lacks.
Result<std::vector<BenchArm>> open_arms(const BenchCommand& command) {
  std::vector<BenchArm> arms;
  if (!compares(command)) {
    TENON_ASSIGN(BenchArm arm, open_arm(command));
    arms.push_back(std::move(arm));
    return arms;
  }
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<std::string> more = words_of(command.against_options);
  if (!command.against.empty()) more.insert(more.begin(), {"--manifest", command.against});
  for (const char* name : {"A", "A again", "B"}) {
    const bool b = arms.size() == 2;
    TENON_ASSIGN(
        BenchArm arm,
        open_child_arm(name, b && !command.against_binary.empty() ? command.against_binary : self,
                       arm_words(command, b ? more : std::vector<std::string>())));
    arms.push_back(std::move(arm));
  }
  return arms;
}

// "cpu avx2" is measured against what AVX2 can do, whatever else there is.
std::string isa_of(const BenchFacts& facts) {
  return facts.device.find("avx2") != std::string::npos ? "avx2" : best_isa();
}

Result<BenchReport> run_bench(const BenchCommand& command) {
  BenchReport report{
      .plan = {.cells = cells_of(command),
               .rounds = command.rounds.value_or(compares(command) ? kRoundsOfComparison : kRounds),
               .warm_up = command.warm_up}};
  StatusLine line;
  line.show("loading");
  TENON_ASSIGN(report.arms, open_arms(command));
  if (!command.no_limits) {
    line.show("measuring the machine's limits");
    const BenchFacts& facts = report.arms[0].facts;
    TENON_ASSIGN(report.limits, measure_limits(isa_of(facts), facts.threads));
  }
  TENON_ASSIGN(report.cells, run_rounds(report.plan, report.arms,
                                        [&](const std::string& what) { line.show(what); }));
  line.close();
  for (const BenchArm& arm : report.arms) TENON_TRY(arm.finish());
  return report;
}

int run_limits(const BenchCommand& command) {
  const auto threads = static_cast<unsigned>(command.engine.threads.value_or(0));
  const auto limits = measure_limits(
      best_isa(), threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency()));
  if (!limits.ok()) return report_error(limits.error(), command.json);
  std::fputs((command.json ? limits_json(*limits) : limits_table(*limits)).c_str(), stdout);
  return kExitOk;
}

Result<RecordComparison> compare_files(const std::string& a, const std::string& b) {
  TENON_ASSIGN(const BenchRecord first, read_record(a));
  TENON_ASSIGN(const BenchRecord second, read_record(b));
  return compare_records(first, second);
}

int run_comparison(const BenchCommand& command) {
  const auto comparison = compare_files(command.compare[0], command.compare[1]);
  if (!comparison.ok()) return report_error(comparison.error(), command.json);
  for (const std::string& warning : comparison->warnings) log(Severity::kWarning, "bench", warning);
  std::fputs((command.json ? comparison_json(*comparison) : comparison_table(*comparison)).c_str(),
             stdout);
  return kExitOk;
}

}  // namespace

int run_command(const BenchCommand& command) {
  if (command.limits) return run_limits(command);
  if (!command.compare.empty()) return run_comparison(command);
  if (command.arm) return serve_arm(command);
  const auto report = run_bench(command);
  if (!report.ok()) return report_error(report.error(), command.json);
  for (const std::string& warning : bench_warnings(*report))
    log(Severity::kWarning, "bench", warning);
  if (command.json) {
    std::fputs(bench_json(*report).c_str(), stdout);
    return kExitOk;
  }
  std::fputs(bench_table(*report).c_str(), stdout);
  // Programs read the last line.
  if (::isatty(STDOUT_FILENO) != 1) std::fputs(bench_summary(*report).c_str(), stdout);
  return kExitOk;
}

}  // namespace tenon::app
