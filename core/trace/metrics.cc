#include "core/trace/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tenon {

std::optional<double> RequestTimes::ttft() const {
  return tokens.empty() ? std::nullopt : std::optional(tokens.front() - arrival);
}

std::optional<double> RequestTimes::tpot() const {
  if (tokens.size() < 2) return std::nullopt;
  return (tokens.back() - tokens.front()) / static_cast<double>(tokens.size() - 1);
}

std::optional<double> RequestTimes::e2e() const {
  return finished && !tokens.empty() ? std::optional(tokens.back() - arrival) : std::nullopt;
}

std::optional<double> RequestTimes::queue() const {
  return started ? std::optional(std::max(0.0, *started - arrival)) : std::nullopt;
}

double percentile(std::span<const double> sorted, double percent) {
  if (sorted.empty()) return 0;
  const double place = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Distribution distribution_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values.size(),
          std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()),
          percentile(values, 50),
          percentile(values, 90),
          percentile(values, 99),
          values.back()};
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return percentile(values, 50);
}

bool meets(const RequestTimes& request, const ServiceBounds& bounds) {
  if (!request.finished || request.tokens.empty()) return false;
  if (bounds.ttft && *request.ttft() > *bounds.ttft) return false;
  return !bounds.tpot || !request.tpot() || *request.tpot() <= *bounds.tpot;
}

ReplayMetrics metrics_of(std::span<const RequestTimes> requests, const ServiceBounds& bounds) {
  ReplayMetrics out;
  out.requests = requests.size();
  std::vector<double> ttft, tpot, itl, e2e, queue;
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  const auto add = [](std::vector<double>& to, const std::optional<double>& value) {
    if (value) to.push_back(*value);
  };
  for (const RequestTimes& request : requests) {
    add(ttft, request.ttft());
    add(tpot, request.tpot());
    add(e2e, request.e2e());
    add(queue, request.queue());
    for (std::size_t i = 1; i < request.tokens.size(); ++i)
      itl.push_back(request.tokens[i] - request.tokens[i - 1]);
    out.finished += request.finished;
    out.good += meets(request, bounds);
    if (request.tokens.empty()) continue;
    prompt_tokens += request.prompt_tokens;
    output_tokens += static_cast<std::int64_t>(request.tokens.size());
    out.duration = std::max(out.duration, request.tokens.back());
  }
  out.ttft = distribution_of(std::move(ttft));
  out.tpot = distribution_of(std::move(tpot));
  out.itl = distribution_of(std::move(itl));
  out.e2e = distribution_of(std::move(e2e));
  out.queue = distribution_of(std::move(queue));
  if (bounds.any()) out.goodput = 0;
  if (out.duration > 0) {
    if (out.goodput) out.goodput = static_cast<double>(out.good) / out.duration;
    out.requests_per_second = static_cast<double>(out.finished) / out.duration;
    out.output_tokens_per_second = static_cast<double>(output_tokens) / out.duration;
    out.total_tokens_per_second = static_cast<double>(output_tokens + prompt_tokens) / out.duration;
  }
  return out;
}

std::vector<NamedNumber> named_numbers(const ReplayMetrics& metrics) {
  std::vector<NamedNumber> out;
  const auto add = [&out](const std::string& name, const Distribution& d) {
    for (const auto& [what, value] : {std::pair{".mean", d.mean},
                                      {".p50", d.p50},
                                      {".p90", d.p90},
                                      {".p99", d.p99},
                                      {".max", d.max}})
      out.push_back({name + what, d.count > 0 ? std::optional(value) : std::nullopt});
  };
  // Without a token there is no time over which to count.
  const auto add_rate = [&](const std::string& name, double value) {
    out.push_back({name, metrics.duration > 0 ? std::optional(value) : std::nullopt});
  };
  add("ttft_s", metrics.ttft);
  add("tpot_s", metrics.tpot);
  add("itl_s", metrics.itl);
  add("e2e_s", metrics.e2e);
  add("queue_s", metrics.queue);
  out.push_back({"requests", static_cast<double>(metrics.requests)});
  out.push_back({"finished", static_cast<double>(metrics.finished)});
  add_rate("duration_s", metrics.duration);
  add_rate("requests_per_s", metrics.requests_per_second);
  if (metrics.goodput) add_rate("goodput_per_s", *metrics.goodput);
  add_rate("output_tokens_per_s", metrics.output_tokens_per_second);
  add_rate("total_tokens_per_s", metrics.total_tokens_per_second);
  return out;
}

}  // namespace tenon
