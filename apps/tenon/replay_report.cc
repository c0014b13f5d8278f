#include "apps/tenon/replay_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

constexpr const char* kAdapterFix = "load it with --adapter NAME=FOLDER, or use --ignore-adapters";

void name_adapter_options(Error& error) {
  if (error.id == "TENON-D004") error.fix = kAdapterFix;
  if (error.id != "TENON-D003") return;
  const bool names_others = !error.fix.empty() && !error.fix.starts_with("load one");
  error.fix = (names_others ? error.fix + " or " : "") + kAdapterFix;
}

std::vector<NamedNumber> numbers_of(const Replay& replay, std::size_t requests,
                                    const ServiceBounds& bounds) {
  ReplayMetrics metrics = metrics_of(replay.requests, bounds);
  metrics.requests = requests;
  std::vector<NamedNumber> out = named_numbers(metrics);
  out.push_back({"arrived", static_cast<double>(replay.requests.size())});
  out.push_back({"refused", static_cast<double>(replay.refused)});
  out.push_back({"steps", static_cast<double>(replay.steps.size())});
  out.push_back({"preemptions", static_cast<double>(replay.preemptions)});
  out.push_back({"prefix_hit_tokens", static_cast<double>(replay.prefix_hit_tokens)});
  return out;
}

// Over the rounds that have the number; unset when none has.
struct Summary {
  std::string name;
  std::optional<double> median, least, most;
};

Summary summary_of(const std::vector<ReplayRound>& rounds, std::size_t index) {
  Summary out{.name = rounds[0].numbers[index].name};
  std::vector<double> values;
  for (const ReplayRound& round : rounds)
    if (round.numbers[index].value) values.push_back(*round.numbers[index].value);
  if (values.empty()) return out;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  out.least = *least;
  out.most = *most;
  out.median = median_of(std::move(values));
  return out;
}

std::vector<Summary> summaries_of(const std::vector<ReplayRound>& rounds) {
  std::vector<Summary> out;
  for (std::size_t i = 0; !rounds.empty() && i < rounds[0].numbers.size(); ++i)
    out.push_back(summary_of(rounds, i));
  return out;
}

ordered_json json_of(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

// Steps that computed equally many rows and gave equally many tokens: what a row costs.
ordered_json steps_by_rows(std::span<const ReplayRound> rounds) {
  struct Group {
    std::vector<double> seconds, cpu;
  };
  std::map<std::pair<std::int64_t, std::int64_t>, Group> groups;
  for (const ReplayRound& round : rounds)
    for (const StepTime& step : round.steps) {
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

ordered_json numbers_json(const ReplayRound& round) {
  ordered_json out = ordered_json::object();
  for (const NamedNumber& number : round.numbers) out[number.name] = json_of(number.value);
  return out;
}

std::string name_of(const ReplayArm& arm) {
  return arm.manifest.empty() ? "(built-in manifest)" : arm.manifest;
}

ordered_json json_of(const ReplayArm& arm) {
  ordered_json out = {{"manifest", name_of(arm)},
                      {"scheduler", arm.scheduler},
                      {"device", arm.device},
                      {"numerics", arm.numerics},
                      {"threads", arm.threads}};
  for (const char* of : {"median", "least", "most"}) out[of] = ordered_json::object();
  for (const Summary& s : summaries_of(arm.rounds)) {
    out["median"][s.name] = json_of(s.median);
    out["least"][s.name] = json_of(s.least);
    out["most"][s.name] = json_of(s.most);
  }
  out["rounds"] = ordered_json::array();
  for (const ReplayRound& round : arm.rounds) out["rounds"].push_back(numbers_json(round));
  out["steps_by_rows"] = steps_by_rows(arm.rounds);
  if (arm.partial) {
    ordered_json partial = {{"round", arm.partial->number}};
    partial.update(numbers_json(*arm.partial));
    partial["steps_by_rows"] = steps_by_rows(std::span(&*arm.partial, 1));
    out["partial_round"] = std::move(partial);
  }
  if (arm.refusal) out["first_refusal"] = arm.refusal->to_string();
  return out;
}

template <class... Values>
std::string text(const char* format, Values... values) {
  const int length = std::snprintf(nullptr, 0, format, values...);
  std::string out(static_cast<std::size_t>(std::max(length, 0)) + 1, '\0');
  std::snprintf(out.data(), out.size(), format, values...);
  out.pop_back();
  return out;
}

// The numbers of one arm as cells of its table.
class Table {
 public:
  explicit Table(const std::vector<ReplayRound>& rounds)
      : all_(summaries_of(rounds)), ranges_(rounds.size() > 1) {}

  bool has(const std::string& name) const { return find(name) != nullptr; }
  bool ranges() const { return ranges_; }
  std::string median(const std::string& name, int digits) const {
    const Summary* s = find(name);
    return s != nullptr && s->median ? text("%.*f", digits, *s->median) : "-";
  }
  // " [least to most]" when there are several rounds.
  std::string range(const std::string& name, int digits) const {
    const Summary* s = find(name);
    if (!ranges_ || s == nullptr || !s->median) return "";
    return text(" [%.*f to %.*f]", digits, *s->least, digits, *s->most);
  }

 private:
  const Summary* find(const std::string& name) const {
    const auto at =
        std::find_if(all_.begin(), all_.end(), [&](const Summary& s) { return s.name == name; });
    return at == all_.end() ? nullptr : &*at;
  }
  std::vector<Summary> all_;
  bool ranges_;
};

std::string latencies(const Table& table) {
  std::string out = text("  %-8s %9s %9s %9s %9s %9s%s\n", "seconds", "mean", "p50", "p90", "p99",
                         "max", table.ranges() ? "  max range" : "");
  for (const auto& [title, name] : {std::pair{"TTFT", "ttft_s"},
                                    {"TPOT", "tpot_s"},
                                    {"ITL", "itl_s"},
                                    {"E2E", "e2e_s"},
                                    {"queue", "queue_s"}}) {
    const std::string key = name;
    out += text("  %-8s", title);
    for (const char* of : {".mean", ".p50", ".p90", ".p99", ".max"})
      out += text(" %9s", table.median(key + of, 4).c_str());
    const std::string range = table.range(key + ".max", 4);
    out.append(range.empty() ? "" : " ").append(range).append("\n");
  }
  return out;
}

std::string bounds_text(const ServiceBounds& bounds) {
  std::string out;
  if (bounds.ttft) out += text("TTFT <= %g s", *bounds.ttft);
  if (bounds.tpot) out += text("%sTPOT <= %g s", out.empty() ? "" : ", ", *bounds.tpot);
  return out;
}

std::string rates(const Table& table, const ServiceBounds& bounds) {
  std::string out = "  " + table.median("finished", 0) + " of " + table.median("requests", 0) +
                    " requests finished in " + table.median("duration_s", 3) +
                    " s: " + table.median("requests_per_s", 3) + "/s" +
                    table.range("requests_per_s", 3) + "\n";
  if (bounds.any())
    out += "  goodput " + table.median("goodput_per_s", 3) + "/s" +
           table.range("goodput_per_s", 3) + " with " + bounds_text(bounds) + "\n";
  return out + "  output " + table.median("output_tokens_per_s", 2) + " tokens/s" +
         table.range("output_tokens_per_s", 2) + ", with prompts " +
         table.median("total_tokens_per_s", 2) + " tokens/s\n  " + table.median("steps", 0) +
         " steps, " + table.median("preemptions", 0) + " preemptions, " +
         table.median("prefix_hit_tokens", 0) + " tokens from caches, " +
         table.median("refused", 0) + " refused\n";
}

std::string table_of(const ReplayArm& arm, const ServiceBounds& bounds) {
  std::string out = name_of(arm) + "\n";
  if (!arm.measured()) return out + "  interrupted before its first round\n";
  out += text("  %s, %s, %u threads, ", arm.scheduler.c_str(), arm.device.c_str(), arm.threads);
  if (arm.rounds.empty())
    out += text("interrupted in round %llu; unfinished, as far as it came:\n",
                static_cast<unsigned long long>(arm.partial->number));
  else
    out += text("%zu round%s\n", arm.rounds.size(),
                arm.rounds.size() == 1 ? "" : "s: medians, [least to most]");
  const Table table(arm.rounds.empty() ? std::vector{*arm.partial} : arm.rounds);
  out += latencies(table) + rates(table, bounds);
  if (arm.partial && !arm.rounds.empty())
    out += text("  interrupted in round %llu; its requests are not counted\n",
                static_cast<unsigned long long>(arm.partial->number));
  if (arm.refusal) out += "  first refusal: " + arm.refusal->to_string() + "\n";
  return out;
}

}  // namespace

void add_round(Replay replay, std::size_t requests, const ServiceBounds& bounds, ReplayArm& arm) {
  ReplayRound round{.number = arm.rounds.size() + 1,
                    .numbers = numbers_of(replay, requests, bounds),
                    .steps = std::move(replay.steps)};
  arm.arrived += replay.requests.size();
  arm.refused += replay.refused;
  if (!arm.refusal && replay.first_refusal) {
    arm.refusal = std::move(replay.first_refusal);
    name_adapter_options(*arm.refusal);
  }
  if (replay.interrupted)
    arm.partial = std::move(round);
  else
    arm.rounds.push_back(std::move(round));
}

std::string replay_json(const ReplayReport& report) {
  ordered_json out = {{"trace", report.trace},
                      {"trace_requests", report.requests},
                      {"speed", report.speed},
                      {"interrupted", report.interrupted},
                      {"slo_ttft_s", json_of(report.bounds.ttft)},
                      {"slo_tpot_s", json_of(report.bounds.tpot)}};
  out["arms"] = ordered_json::array();
  for (const ReplayArm& arm : report.arms) out["arms"].push_back(json_of(arm));
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string replay_tables(const ReplayReport& report) {
  std::string out;
  for (const ReplayArm& arm : report.arms) out += table_of(arm, report.bounds);
  return out;
}

}  // namespace tenon::app
