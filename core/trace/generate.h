// Makes traces whose arrivals, lengths, adapters and shared beginnings follow stated distributions.
// The same shape and seed give the same trace on every system.
#pragma once

#include <string_view>
#include <vector>

#include "core/trace/trace.h"

namespace tenon {

enum class Arrivals {
  kConstant,  // one every 1 / rate seconds
  kPoisson,
  kGamma,  // gaps of the same mean with coefficient of variation `cv`: above 1 in bursts
};

enum class Lengths {
  kFixed,    // prompt_mean and answer_mean
  kUniform,  // from 1 to twice the mean, less one
  // Log-normal, redrawn while prompt and answer together exceed the mix's context. Median and 90th
  // percentile after that are those that Sarathi-Serve (OSDI'24) publishes:
  kShareGpt,  // prompts 1730 and 5696 tokens, answers 415 and 834, together at most 8192
  kArxiv,     // 7059 and 12985, 208 and 371, 16384: papers and their summaries
};

struct TraceShape {
  std::int64_t count = 100;
  std::uint64_t seed = 1;

  Arrivals arrivals = Arrivals::kPoisson;
  double rate = 1;  // requests per second; 0: all at once
  double cv = 1;    // of kGamma

  Lengths lengths = Lengths::kFixed;
  std::int64_t prompt_mean = 128, answer_mean = 32;  // tokens; of kFixed and kUniform
  double scale = 1;  // of the published lengths, to fit a small context

  std::int64_t adapters = 0;  // named a0, a1, ... from the most popular; 0: none
  double zipf = 1;            // popularity of the i-th is as 1 / i^zipf

  // Prompts begin as others do: a tree of `levels` levels, below each node `fanout` others, each
  // node `prefix_tokens` tokens; a prompt follows a random path and then goes its own way for its
  // own length.
  std::int64_t prefix_levels = 0, prefix_fanout = 4, prefix_tokens = 64;
};

// TENON-A023: a number of the shape is out of range.
Result<std::vector<TraceRow>> generate_trace(const TraceShape& shape);

}  // namespace tenon
