#include "core/trace/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/trace/random.h"

namespace tenon {
namespace {

constexpr std::int64_t kMostTokens = 1 << 24;

Status in_range(const char* name, double value, double least, double most) {
  if (value >= least && value <= most) return {};
  const auto text = [](double v) { return std::to_string(v); };
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A023",
               .message = std::string("trace: ") + name + " is out of range",
               .found = text(value),
               .expected = text(least) + " to " + text(most)};
}

Status check(const TraceShape& shape) {
  const auto number = [](std::int64_t value) { return static_cast<double>(value); };
  TENON_TRY(in_range("count", number(shape.count), 1, 10'000'000));
  TENON_TRY(in_range("rate", shape.rate, 0, 1e6));
  TENON_TRY(in_range("cv", shape.cv, 0.01, 100));
  TENON_TRY(in_range("prompt tokens", number(shape.prompt_mean), 1, kMostTokens));
  TENON_TRY(in_range("answer tokens", number(shape.answer_mean), 1, kMostTokens));
  TENON_TRY(in_range("scale", shape.scale, 1e-4, 1));
  TENON_TRY(in_range("adapters", number(shape.adapters), 0, 1'000'000));
  TENON_TRY(in_range("zipf", shape.zipf, 0, 100));
  TENON_TRY(in_range("prefix levels", number(shape.prefix_levels), 0, 64));
  TENON_TRY(in_range("prefix fanout", number(shape.prefix_fanout), 1, 1'000'000));
  TENON_TRY(in_range("prefix tokens", number(shape.prefix_tokens), 1, kMostTokens));
  // What a row may hold: a uniform length is up to twice its mean.
  TENON_TRY(in_range(
      "prompt tokens with all prefixes",
      number(shape.prefix_levels) * number(shape.prefix_tokens) + 2 * number(shape.prompt_mean), 1,
      kMostTokens));
  return in_range("twice the answer tokens", 2 * number(shape.answer_mean), 1, kMostTokens);
}

// Gaps between arrivals in units of their mean.
double gap(const TraceShape& shape, TraceRandom& random) {
  if (shape.arrivals == Arrivals::kConstant) return 1;
  if (shape.arrivals == Arrivals::kPoisson) return random.exponential();
  const double form = 1 / (shape.cv * shape.cv);
  return random.gamma(form) / form;
}

struct LogNormal {
  double median, sigma;
  double draw(TraceRandom& random) const { return median * std::exp(sigma * random.normal()); }
};

// Fitted so that median and 90th percentile are the published ones after redrawing.
struct Mix {
  LogNormal prompt, answer;
  double context;
};
constexpr Mix kShareGptMix{{3838, 1.7822}, {417.0, 0.5481}, 8192};
constexpr Mix kArxivMix{{7913, 0.6603}, {208.2, 0.4537}, 16384};

struct Length {
  std::int64_t prompt, answer;
};

std::int64_t scaled(double tokens, double scale) {
  return std::max<std::int64_t>(1, std::llround(tokens * scale));
}

Length draw_lengths(const TraceShape& shape, TraceRandom& random) {
  if (shape.lengths == Lengths::kFixed) return {shape.prompt_mean, shape.answer_mean};
  if (shape.lengths == Lengths::kUniform) {
    const std::int64_t prompt = random.integer(1, 2 * shape.prompt_mean - 1);
    return {prompt, random.integer(1, 2 * shape.answer_mean - 1)};
  }
  const Mix& mix = shape.lengths == Lengths::kShareGpt ? kShareGptMix : kArxivMix;
  for (;;) {
    const double prompt = mix.prompt.draw(random), answer = mix.answer.draw(random);
    if (prompt < 0.5 || answer < 0.5 || prompt + answer > mix.context) continue;
    return {scaled(prompt, shape.scale), scaled(answer, shape.scale)};
  }
}

// popularity[i]: the chance of one of the first i + 1.
std::vector<double> zipf_table(const TraceShape& shape) {
  std::vector<double> out(static_cast<std::size_t>(shape.adapters));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = std::pow(static_cast<double>(i + 1), -shape.zipf);
  std::partial_sum(out.begin(), out.end(), out.begin());
  for (double& value : out) value /= out.back();
  return out;
}

// The nodes of a random path from the root of the tree of shared beginnings: a node's seed is made
// of the path to it.
void add_prefix(const TraceShape& shape, TraceRandom& random, std::vector<TraceSegment>& out) {
  std::uint64_t node = shape.seed;
  for (std::int64_t level = 0; level < shape.prefix_levels; ++level) {
    const auto child = static_cast<std::uint64_t>(random.integer(0, shape.prefix_fanout - 1));
    node = TraceRandom(node * 0x9E3779B97F4A7C15u + child + 1).bits();
    out.push_back({node, static_cast<std::int32_t>(shape.prefix_tokens)});
  }
}

}  // namespace

Result<std::vector<TraceRow>> generate_trace(const TraceShape& shape) {
  TENON_TRY(check(shape));
  // Streams of their own, so that a change of one thing leaves the others as they were.
  TraceRandom arrivals(shape.seed), lengths(shape.seed + 1), adapters(shape.seed + 2);
  TraceRandom prefixes(shape.seed + 3), prompts(shape.seed + 4);
  const std::vector<double> popularity = zipf_table(shape);
  std::vector<TraceRow> rows;
  rows.reserve(static_cast<std::size_t>(shape.count));
  double now = 0;
  for (std::int64_t i = 0; i < shape.count; ++i) {
    TraceRow row;
    row.id = std::to_string(i + 1);
    if (shape.rate > 0) now += gap(shape, arrivals) / shape.rate;
    row.arrival = now;
    add_prefix(shape, prefixes, row.segments);
    const Length length = draw_lengths(shape, lengths);
    row.segments.push_back({prompts.bits(), static_cast<std::int32_t>(length.prompt)});
    row.max_tokens = static_cast<std::int32_t>(length.answer);
    if (!popularity.empty()) {
      const auto at =
          std::lower_bound(popularity.begin(), popularity.end() - 1, adapters.uniform());
      row.adapter = "a" + std::to_string(at - popularity.begin());
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace tenon
