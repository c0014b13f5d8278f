// What a replay measures. The definitions are frozen here, because tools disagree on them:
//
//   TTFT     time to first token: from the request's arrival to its first token
//   TPOT     time per output token: (E2E - TTFT) / (tokens - 1); one a request, none for one token
//   ITL      inter-token latency: every gap between two tokens, of all requests pooled
//   E2E      from arrival to the last token
//   queue    from arrival to the start of the step that first computed something of it
//   goodput  requests per second that met every bound that was given; none without a bound
//
// Arrival is when the trace says, not when the engine was free to look: waiting for a step to end
// is part of every time here. All are seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tenon {

struct RequestTimes {
  double arrival = 0;
  std::optional<double> started;  // of the first step that computed something of it
  std::vector<double> tokens;     // when each token came
  std::int64_t prompt_tokens = 0;
  bool finished = false;  // it came to its end; false for one that was aborted or refused

  std::optional<double> ttft() const;
  std::optional<double> tpot() const;
  std::optional<double> e2e() const;  // of a finished request
  std::optional<double> queue() const;
};

// Of a sample; all 0 when there is none.
struct Distribution {
  std::size_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};

// Linear between the two nearest of the sorted values (as numpy's default); 0 without values.
double percentile(std::span<const double> sorted, double percent);
Distribution distribution_of(std::vector<double> values);
double median_of(std::vector<double> values);

// Unset: no bound.
struct ServiceBounds {
  std::optional<double> ttft, tpot;
  bool any() const { return ttft || tpot; }
};
bool meets(const RequestTimes& request, const ServiceBounds& bounds);

struct ReplayMetrics {
  std::size_t requests = 0, finished = 0;
  Distribution ttft, tpot, itl, e2e, queue;
  double duration = 0;  // from the start to the last token
  double requests_per_second = 0, output_tokens_per_second = 0, total_tokens_per_second = 0;
  std::optional<double> goodput;  // unset when no bound was given
  std::size_t good = 0;
};

// Times of requests that did not finish count where they exist: a first token that came is a TTFT.
ReplayMetrics metrics_of(std::span<const RequestTimes> requests, const ServiceBounds& bounds);

// Everything by name, in the order of a report: "ttft_s.p50", ..., "duration_s". Goodput is left
// out when no bound was given.
struct NamedNumber {
  std::string name;
  std::optional<double> value;  // unset: nothing to make it of, as a median of no sample
};
std::vector<NamedNumber> named_numbers(const ReplayMetrics& metrics);

}  // namespace tenon
