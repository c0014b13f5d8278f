#include "apps/tenon/bench/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/bench/roof.h"
#include "core/trace/metrics.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

// Above this share of the processors others are in the way.
constexpr double kBusy = 0.05;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

// Over the rounds.
struct Summary {
  double median = 0, least = 0, most = 0;
};

Summary summary_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {median_of(values), *least, *most};
}

const std::vector<double>& samples_of(const ArmSamples& arm, BenchRate rate) {
  return rate == BenchRate::kPrefill ? arm.prefill : arm.decode;
}

std::string name_of(const BenchCell& cell) {
  return format("prompt=%lld gen=%lld depth=%lld batch=%lld", static_cast<long long>(cell.prompt),
                static_cast<long long>(cell.gen), static_cast<long long>(cell.depth),
                static_cast<long long>(cell.batch));
}

std::optional<Roof> roof_of(const BenchReport& report, const CellResult& cell, std::size_t arm,
                            BenchRate rate) {
  if (!report.limits) return std::nullopt;
  const BenchFacts& facts = report.arms[arm].facts;
  const MachineLimits& measured = *report.limits;
  const Throughput& limits = facts.threads == 1 ? measured.one : measured.all;
  if (facts.threads != limits.threads) return std::nullopt;
  const Roof roof = rate == BenchRate::kPrefill ? prefill_roof(cell.cell, facts, limits)
                                                : decode_roof(cell.cell, facts, limits);
  return roof.rate > 0 ? std::optional(roof) : std::nullopt;
}

// "1234.5 (1200.1 to 1250.9)  28 % of compute"
std::string rate_text(const BenchReport& report, const CellResult& cell, std::size_t arm,
                      BenchRate rate) {
  const Summary summary = summary_of(samples_of(cell.arms[arm], rate));
  if (summary.median == 0) return format("%-38s", "-");
  std::string out = format("%8.1f (%.1f to %.1f)", summary.median, summary.least, summary.most);
  if (const auto roof = roof_of(report, cell, arm, rate))
    out += format("  %.0f %% of %s", 100 * summary.median / roof->rate,
                  roof->memory ? "read" : "compute");
  return format("%-44s", out.c_str());
}

std::string gaps_text(const ArmSamples& arm) {
  const Distribution gaps = distribution_of(arm.gaps);
  if (gaps.count == 0) return "-";
  return format("%.2f / %.2f / %.2f", 1e3 * gaps.p50, 1e3 * gaps.p99, 1e3 * gaps.max);
}

std::string comparison_text(const SampleComparison& result) {
  return format("B/A %.3f [%.3f, %.3f], A/A within %.1f %%: %s", result.change.ratio,
                result.change.low, result.change.high, 100 * result.noise,
                verdict_text(result.difference));
}

std::string alone_rows(const BenchReport& report) {
  std::string out = format("%7s %6s %6s %5s  %-44s%-44s%s\n", "prompt", "gen", "depth", "batch",
                           "prefill tokens/s", "decode tokens/s", "ITL ms p50 / p99 / max");
  for (const CellResult& result : report.cells) {
    const BenchCell& cell = result.cell;
    out += format("%7lld %6lld %6lld %5lld  ", static_cast<long long>(cell.prompt),
                  static_cast<long long>(cell.gen), static_cast<long long>(cell.depth),
                  static_cast<long long>(cell.batch));
    out += rate_text(report, result, 0, BenchRate::kPrefill) +
           rate_text(report, result, 0, BenchRate::kDecode) + gaps_text(result.arms[0]) + "\n";
  }
  return out;
}

std::string compared_rows(const BenchReport& report) {
  std::string out;
  for (const CellResult& cell : report.cells) {
    out += name_of(cell.cell) + "\n";
    for (const BenchRate rate : {BenchRate::kPrefill, BenchRate::kDecode}) {
      if (summary_of(samples_of(cell.arms[0], rate)).median == 0) continue;
      const char* name = rate == BenchRate::kPrefill ? "prefill" : "decode";
      out += format("  %-8s A %s\n", name, rate_text(report, cell, 0, rate).c_str());
      out += format("  %-8s B %s\n", "", rate_text(report, cell, 2, rate).c_str());
      out += "           " + comparison_text(comparison_of(cell, rate)) + "\n";
    }
    if (!cell.arms[0].gaps.empty())
      out += "  ITL ms   A " + gaps_text(cell.arms[0]) + ", B " + gaps_text(cell.arms[2]) +
             " (p50 / p99 / max)\n";
  }
  return out;
}

ordered_json json_of(const Throughput& limits) {
  return {{"threads", limits.threads},
          {"read_gb_per_s", limits.read * 1e-9},
          {"int8_gops", limits.int8_ops * 1e-9},
          {"f32_gflops", limits.f32_ops * 1e-9}};
}

ordered_json json_of(const MachineLimits& limits) {
  return {{"cpu", limits.cpu},
          {"isa", limits.isa},
          {"one", json_of(limits.one)},
          {"all", json_of(limits.all)}};
}

ordered_json json_of(const SampleComparison& result) {
  return {{"ratio", result.change.ratio},
          {"low", result.change.low},
          {"high", result.change.high},
          {"noise", result.noise},
          {"verdict", verdict_text(result.difference)}};
}

ordered_json rate_json(const BenchReport& report, const CellResult& cell, std::size_t arm,
                       BenchRate rate) {
  const std::vector<double>& samples = samples_of(cell.arms[arm], rate);
  const Summary summary = summary_of(samples);
  ordered_json out = {{"median", summary.median},
                      {"least", summary.least},
                      {"most", summary.most},
                      {"samples", samples}};
  if (const auto roof = roof_of(report, cell, arm, rate)) {
    out["roof"] = roof->rate;
    out["roof_of"] = roof->memory ? "read" : "compute";
    out["share_of_roof"] = summary.median / roof->rate;
  }
  return out;
}

ordered_json cell_numbers(const BenchCell& cell) {
  return {{"prompt", cell.prompt}, {"gen", cell.gen}, {"depth", cell.depth}, {"batch", cell.batch}};
}

ordered_json cell_json(const BenchReport& report, const CellResult& cell) {
  ordered_json out = cell_numbers(cell.cell);
  out["warm_rounds"] = cell.warm_rounds;
  out["steady"] = cell.steady;
  out["others_cpu_share"] = cell.others;
  for (std::size_t i = 0; i < report.arms.size(); ++i) {
    const Distribution gaps = distribution_of(cell.arms[i].gaps);
    out["arms"].push_back({{"arm", report.arms[i].name},
                           {"prefill", rate_json(report, cell, i, BenchRate::kPrefill)},
                           {"decode", rate_json(report, cell, i, BenchRate::kDecode)},
                           {"itl_ms",
                            {{"count", gaps.count},
                             {"p50", 1e3 * gaps.p50},
                             {"p99", 1e3 * gaps.p99},
                             {"max", 1e3 * gaps.max}}},
                           {"spared", cell.arms[i].spared}});
  }
  if (report.compares())
    out["comparison"] = {{"prefill", json_of(comparison_of(cell, BenchRate::kPrefill))},
                         {"decode", json_of(comparison_of(cell, BenchRate::kDecode))}};
  return out;
}

ordered_json summary_json(const BenchReport& report, const CellResult& cell) {
  const Summary prefill = summary_of(cell.arms[0].prefill),
                decode = summary_of(cell.arms[0].decode);
  return {{"prefill_tps", prefill.median},
          {"decode_tps", decode.median},
          {"rounds", report.plan.rounds},
          {"prefill_range", {prefill.least, prefill.most}},
          {"decode_range", {decode.least, decode.most}}};
}

ordered_json summary_json(const BenchReport& report) {
  if (report.cells.size() == 1) return summary_json(report, report.cells[0]);
  ordered_json out;
  for (const CellResult& cell : report.cells) {
    out["cells"].push_back(cell_numbers(cell.cell));
    out["cells"].back().update(summary_json(report, cell));
  }
  return out;
}

}  // namespace

SampleComparison comparison_of(const CellResult& cell, BenchRate rate) {
  const std::vector<double>& a = samples_of(cell.arms[0], rate);
  return compare_samples(a, samples_of(cell.arms[2], rate),
                         noise_of(ratio_of_medians(a, samples_of(cell.arms[1], rate))));
}

const char* verdict_text(Difference difference) {
  switch (difference) {
    case Difference::kMore:
      return "faster";
    case Difference::kLess:
      return "slower";
    case Difference::kNoDifference:
      return "no difference";
    case Difference::kTooFew:
      return "too few rounds";
  }
  return "";
}

std::string limits_table(const MachineLimits& limits) {
  std::vector<Throughput> columns = {limits.one};
  if (limits.all.threads > 1) columns.push_back(limits.all);
  std::string out = limits.cpu + "\n" + format("%-24s", "limit of this machine");
  for (const Throughput& column : columns)
    out += format(" %9u %s", column.threads, column.threads == 1 ? "thread " : "threads");
  const auto row = [&](const std::string& name, double Throughput::*value, const char* unit) {
    out += format("\n%-24s", name.c_str());
    for (const Throughput& column : columns)
      out += format(" %10.1f %-6s", column.*value * 1e-9, unit);
  };
  row("read from memory", &Throughput::read, "GB/s");
  row("int8, " + limits.isa, &Throughput::int8_ops, "Gop/s");
  row("f32, " + limits.isa, &Throughput::f32_ops, "Gop/s");
  return out + "\n";
}

std::string limits_json(const MachineLimits& limits) { return json_of(limits).dump() + "\n"; }

std::string bench_table(const BenchReport& report) {
  std::string out;
  for (std::size_t i = 0; i < report.arms.size(); i += 2) {
    const BenchFacts& facts = report.arms[i].facts;
    out += report.compares() ? report.arms[i].name + ": " : "";
    out += facts.device + ", " + std::to_string(facts.threads) + " threads, numerics " +
           facts.numerics + ", revision " + facts.revision + "\n";
  }
  if (report.limits) out += limits_table(*report.limits);
  out += report.compares() ? compared_rows(report) : alone_rows(report);
  out += "medians of " + std::to_string(report.plan.rounds) + " rounds (range), after";
  for (const CellResult& cell : report.cells)
    out += " " + std::to_string(cell.warm_rounds) + (cell.steady ? "" : " (unsteady)");
  return out + " to warm up\n";
}

std::string bench_summary(const BenchReport& report) { return summary_json(report).dump() + "\n"; }

std::string bench_json(const BenchReport& report) {
  ordered_json out = summary_json(report);
  if (report.cells.size() > 1) out.clear();
  out["rounds"] = report.plan.rounds;
  if (report.limits) out["limits"] = json_of(*report.limits);
  for (const BenchArm& arm : report.arms) {
    ordered_json each = {{"arm", arm.name}};
    each.update(ordered_json::parse(arm.facts.json));
    out["arms"].push_back(std::move(each));
  }
  for (const CellResult& cell : report.cells) {
    out["cells"].push_back(cell_json(report, cell));
    out["samples"]["prefill " + name_of(cell.cell)] = cell.arms[0].prefill;
    out["samples"]["decode " + name_of(cell.cell)] = cell.arms[0].decode;
  }
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<std::string> bench_warnings(const BenchReport& report) {
  std::vector<std::string> out;
  for (const CellResult& cell : report.cells) {
    if (cell.others > kBusy)
      out.push_back(name_of(cell.cell) + ": other processes had " +
                    format("%.0f", 100 * cell.others) +
                    " % of the processors' time; measure on a quiet machine");
    if (!cell.steady && report.plan.warm_up >= kRoundsThatAgree)
      out.push_back(name_of(cell.cell) + ": rounds still differed by more than 5 % after " +
                    std::to_string(cell.warm_rounds) + " to warm up");
    constexpr std::int64_t kPage = 64;
    if (cell.cell.depth - cell.arms[0].spared > kPage)
      out.push_back(name_of(cell.cell) + ": the cache kept " + std::to_string(cell.arms[0].spared) +
                    " tokens of the depth; the others were read again and count as prefill");
  }
  return out;
}

}  // namespace tenon::app
