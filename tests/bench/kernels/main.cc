// The CPU backend's kernels, through its ops, beside what this machine can do at most:
//
//   bench_kernels [--threads N] [--history FILE] [--smoke] [--benchmark_filter=REGEX ...]
//
// --history appends a line to FILE for `tenon bench --compare`; it repeats each benchmark five
// times of a tenth of a second, unless --benchmark_... says otherwise. --smoke: one tiny iteration
// of each.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/tenon/bench/report.h"
#include "tests/bench/kernels/op_rig.h"
#include "tests/bench/kernels/work.h"

extern const char* const kRevision;

namespace tenon::bench {
namespace {

// Prints as usual, and keeps calls a second of each repetition.
class KeepingReporter : public benchmark::ConsoleReporter {
 public:
  explicit KeepingReporter(bool real_time) : ConsoleReporter(OO_Tabular), real_time_(real_time) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      const double time = real_time_ ? run.real_accumulated_time : run.cpu_accumulated_time;
      if (run.run_type == Run::RT_Iteration && time > 0)
        samples_[run.run_name.str()].push_back(
            std::round(1e3 * static_cast<double>(run.iterations) / time) / 1e3);
    }
  }
  const std::map<std::string, std::vector<double>>& samples() const { return samples_; }

 private:
  bool real_time_;
  std::map<std::string, std::vector<double>> samples_;
};

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Status append(const std::string& path, const app::MachineLimits& limits,
              const std::map<std::string, std::vector<double>>& samples) {
  const nlohmann::ordered_json line = {
      {"when", now()},
      {"revision", kRevision},
      {"unit", "calls/s"},
      {"limits", nlohmann::ordered_json::parse(app::limits_json(limits))},
      {"samples", samples}};
  std::ofstream file(path, std::ios::app);
  file << line.dump() << '\n';
  if (file.flush()) return {};
  return Error{.code = Code::kPermissionDenied,
               .id = "TENON-A093",
               .message = "cannot write the history",
               .where = path};
}

struct Arguments {
  Setup setup;
  std::string history;
  std::vector<std::string> others;  // for the library
};

Arguments read(int argc, char** argv) {
  Arguments out;
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--smoke")
      out.setup.smoke = true;
    else if (word == "--threads" && i + 1 < argc)
      out.setup.threads = static_cast<std::uint32_t>(std::max(1, std::atoi(argv[++i])));
    else if (word == "--history" && i + 1 < argc)
      out.history = argv[++i];
    else
      out.others.push_back(word);
  }
  // Before the caller's own, which count.
  if (!out.history.empty())
    out.others.insert(out.others.begin() + 1,
                      {"--benchmark_repetitions=5", "--benchmark_min_time=0.1"});
  if (out.setup.smoke) out.setup.streamed = 2 << 20;
  return out;
}

int run(int argc, char** argv) {
  Arguments arguments = read(argc, argv);
  const Setup& setup = arguments.setup;
  std::vector<char*> words;
  for (std::string& word : arguments.others) words.push_back(word.data());
  int count = static_cast<int>(words.size());
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) return 2;

  const std::size_t read_bytes = setup.smoke ? std::size_t{4} << 20 : app::kReadBuffer;
  app::MachineLimits best;
  for (const std::string& isa : std::set<std::string>{"avx2", app::best_isa()}) {
    auto limits = app::measure_limits(isa, setup.threads, read_bytes);
    if (!limits.ok()) must(limits.take_error());
    if (isa == app::best_isa()) best = *limits;
    const Target target{isa, limits->all};
    add_linear_benchmarks(setup, target);
    add_attend_benchmarks(setup, target);
    add_token_benchmarks(setup, target);
  }
  KeepingReporter reporter(setup.threads > 1);
  if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0) return 1;
  if (!arguments.history.empty()) must(append(arguments.history, best, reporter.samples()));
  return 0;
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) { return tenon::bench::run(argc, argv); }
