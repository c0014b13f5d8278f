#include "apps/tenon/bench/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/tenon/bench/report.h"
#include "apps/tenon/session.h"
#include "core/trace/metrics.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

constexpr double kLeastNoise = 0.03;

Error no_record(const std::string& name, std::string found) {
  return {.code = Code::kInvalidArgument,
          .id = "TENON-A094",
          .message = "this is no result of a benchmark",
          .where = name,
          .found = std::move(found),
          .expected = "a line that `tenon bench --json` or `bench_kernels --history` wrote"};
}

// "runs.jsonl:-2" names a line; a file may have such a name too, so only what is left is a path.
std::pair<std::string, long> split(const std::string& name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos || colon + 1 == name.size()) return {name, -1};
  const std::string number = name.substr(colon + 1);
  if (number.find_first_not_of("0123456789", number[0] == '-' ? 1 : 0) != std::string::npos ||
      number == "-" || number.size() > 6)
    return {name, -1};
  return {name.substr(0, colon), std::stol(number)};
}

Result<std::string> line_of(const std::string& name) {
  const auto [path, number] = split(name);
  TENON_ASSIGN(const std::string text, read_input(path));
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(std::move(line));
  const auto size = static_cast<long>(lines.size());
  const long at = number < 0 ? size + number : number - 1;
  if (at < 0 || at >= size) return no_record(name, std::to_string(size) + " lines");
  return lines[static_cast<std::size_t>(at)];
}

double change(double a, double b) { return a > 0 && b > 0 ? std::abs(b / a - 1) : 0; }

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[320];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

}  // namespace

Result<BenchRecord> read_record(const std::string& name) {
  TENON_ASSIGN(const std::string line, line_of(name));
  try {
    const ordered_json in = ordered_json::parse(line);
    BenchRecord out{.source = name};
    if (in.contains("limits")) {
      const ordered_json& limits = in["limits"];
      const ordered_json& all = limits.at("all");
      out.machine = limits.at("cpu").get<std::string>() + ", " +
                    limits.at("isa").get<std::string>() + ", " +
                    std::to_string(all.at("threads").get<int>()) + " threads";
      out.read = all.at("read_gb_per_s").get<double>();
      out.int8 = all.at("int8_gops").get<double>();
    }
    out.revision = in.contains("revision") ? in["revision"].get<std::string>()
                   : in.contains("arms")   ? in["arms"].at(0).at("revision").get<std::string>()
                                           : "";
    for (const auto& [key, values] : in.at("samples").items())
      out.samples.emplace_back(key, values.get<std::vector<double>>());
    return out;
  } catch (const ordered_json::exception&) {
    return no_record(name, line.substr(0, 80));
  }
}

Result<RecordComparison> compare_records(const BenchRecord& a, const BenchRecord& b) {
  RecordComparison out{.noise =
                           std::max({kLeastNoise, change(a.read, b.read), change(a.int8, b.int8)})};
  if (a.machine != b.machine)
    out.warnings.push_back("other machines: A has " + a.machine + ", B has " + b.machine);
  if (a.read == 0 || b.read == 0)
    out.warnings.push_back(
        "a result has no limits of its machine, so how much the machine itself "
        "changed is not known");
  for (const auto& [name, samples] : a.samples) {
    const auto found = std::find_if(b.samples.begin(), b.samples.end(),
                                    [&, &name = name](const auto& s) { return s.first == name; });
    if (found == b.samples.end()) {
      ++out.only_a;
      continue;
    }
    const double median = median_of(samples);
    if (median > 0)  // 0: nothing was timed
      out.rows.push_back({name, median, median_of(found->second),
                          compare_samples(samples, found->second, out.noise)});
  }
  out.only_b = b.samples.size() - (a.samples.size() - out.only_a);
  if (!out.rows.empty()) return out;
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A095",
               .message = "the two results have nothing in common",
               .where = a.source + " and " + b.source,
               .found = std::to_string(a.samples.size()) + " and " +
                        std::to_string(b.samples.size()) + " names"};
}

std::string comparison_table(const RecordComparison& comparison) {
  std::size_t width = 4;
  for (const auto& row : comparison.rows) width = std::max(width, row.name.size());
  const int w = static_cast<int>(std::min<std::size_t>(width, 120));
  std::string out =
      format("%-*s %12s %12s %8s %18s  %s\n", w, "rate", "A", "B", "B/A", "95 % interval", "B is");
  int counts[4] = {};
  for (const auto& row : comparison.rows) {
    const RatioEstimate& change = row.result.change;
    out +=
        format("%-*s %12.1f %12.1f %8.3f [%7.3f, %7.3f]  %s\n", w, row.name.c_str(), row.a, row.b,
               change.ratio, change.low, change.high, verdict_text(row.result.difference));
    ++counts[static_cast<int>(row.result.difference)];
  }
  return out + format(
                   "faster %d, slower %d, no difference beyond %.1f %% %d, too few rounds %d; "
                   "only in A %zu, only in B %zu\n",
                   counts[static_cast<int>(Difference::kMore)],
                   counts[static_cast<int>(Difference::kLess)], 100 * comparison.noise,
                   counts[static_cast<int>(Difference::kNoDifference)],
                   counts[static_cast<int>(Difference::kTooFew)], comparison.only_a,
                   comparison.only_b);
}

std::string comparison_json(const RecordComparison& comparison) {
  ordered_json out = {{"noise", comparison.noise},
                      {"only_a", comparison.only_a},
                      {"only_b", comparison.only_b},
                      {"rows", ordered_json::array()}};
  for (const auto& row : comparison.rows)
    out["rows"].push_back({{"name", row.name},
                           {"a", row.a},
                           {"b", row.b},
                           {"ratio", row.result.change.ratio},
                           {"low", row.result.change.low},
                           {"high", row.result.change.high},
                           {"verdict", verdict_text(row.result.difference)}});
  return out.dump() + "\n";
}

}  // namespace tenon::app
