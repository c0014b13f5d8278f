// A trace: who asks what, when. One JSON object a line, so that it can be cut, joined and made by
// anything:
//
//   {"id": "7", "arrival_s": 1.25, "prompt_tokens": 512, "seed": 99, "max_tokens": 64, "adapter":
//   "a3"}
//
// A prompt is a text (`prompt`), or random tokens: `prompt_tokens` of them from `seed`, or several
// runs of tokens one after another (`segments`: [{"seed": 1, "tokens": 256}, ...]). Equal segments
// at the beginning of two prompts are equal tokens: that is how a trace says what a cache can
// share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct TraceSegment {
  std::uint64_t seed = 0;
  std::int32_t tokens = 0;
  bool operator==(const TraceSegment&) const = default;
};

struct TraceRow {
  std::string id;
  double arrival = 0;  // seconds after the start of the trace
  std::vector<TraceSegment> segments;
  std::string prompt;  // a text instead of segments
  std::int32_t max_tokens = 0;
  std::string adapter;  // empty: the base model
  bool operator==(const TraceRow&) const = default;

  std::int64_t prompt_tokens() const;  // of the segments
};

// In the order of arrival. TENON-A021: the file cannot be read; A022: a line is no row of a trace,
// by file:line.
Result<std::vector<TraceRow>> read_trace(const std::string& path);
Result<std::vector<TraceRow>> parse_trace(const std::string& text, const std::string& name);

// One line, with its end.
std::string trace_line(const TraceRow& row);

// The prompt's tokens out of `alphabet`, which is not empty. Another `round` gives other tokens
// with the same things shared, so that a trace can be run again without finding its own prompts
// cached.
std::vector<std::int32_t> segment_tokens(const TraceRow& row,
                                         std::span<const std::int32_t> alphabet,
                                         std::uint64_t round);

}  // namespace tenon
