#include "core/trace/trace.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/trace/random.h"

namespace tenon {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::int64_t kMostTokens = 1 << 24;

// Why a line is not a row of a trace.
struct BadLine {
  std::string message, found, expected;
};

// A whole number of the object, or `otherwise` when it is not there.
std::int64_t whole(const json& object, const char* key, std::int64_t otherwise,
                   std::int64_t least) {
  const auto at = object.find(key);
  if (at == object.end()) return otherwise;
  const bool fits = at->is_number_integer() &&
                    (!at->is_number_unsigned() || at->get<std::uint64_t>() <= kMostTokens) &&
                    at->get<std::int64_t>() >= least && at->get<std::int64_t>() <= kMostTokens;
  if (!fits)
    throw BadLine{
        std::string(key) + " is out of range", at->dump(),
        "a whole number from " + std::to_string(least) + " to " + std::to_string(kMostTokens)};
  return at->get<std::int64_t>();
}

std::uint64_t seed_of(const json& object, std::uint64_t otherwise) {
  const auto at = object.find("seed");
  if (at == object.end()) return otherwise;
  if (!at->is_number_unsigned())
    throw BadLine{"seed is out of range", at->dump(), "a whole number from 0 to 2^64 - 1"};
  return at->get<std::uint64_t>();
}

std::string text_of(const json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end()) return {};
  if (!at->is_string()) throw BadLine{std::string(key) + " is no text", at->dump(), "a string"};
  return at->get<std::string>();
}

void check_keys(const json& object, const std::set<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (known.contains(key)) continue;
    std::string expected = "one of";
    for (const std::string& name : known) expected += " " + name;
    throw BadLine{"unknown field", key, expected};
  }
}

double arrival_of(const json& object) {
  const auto at = object.find("arrival_s");
  const double seconds = at != object.end() && at->is_number() ? at->get<double>() : -1;
  if (!(seconds >= 0) || !std::isfinite(seconds))
    throw BadLine{"arrival_s is missing or out of range",
                  at == object.end() ? "nothing" : at->dump(), "seconds, at least 0"};
  return seconds;
}

std::vector<TraceSegment> segments_of(const json& object, std::uint64_t line) {
  std::vector<TraceSegment> out;
  if (const auto at = object.find("segments"); at != object.end()) {
    if (!at->is_array())
      throw BadLine{"segments is no list", at->dump(), "[{\"seed\", \"tokens\"}]"};
    for (const json& segment : *at) {
      if (!segment.is_object())
        throw BadLine{"a segment is no object", segment.dump(), "{\"seed\", \"tokens\"}"};
      check_keys(segment, {"seed", "tokens"});
      out.push_back(
          {seed_of(segment, 0), static_cast<std::int32_t>(whole(segment, "tokens", 0, 1))});
    }
    if (object.contains("seed"))
      throw BadLine{"seed stands beside segments", "both", "one of them"};
  } else if (const std::int64_t tokens = whole(object, "prompt_tokens", 0, 1); tokens > 0) {
    out.push_back({seed_of(object, line), static_cast<std::int32_t>(tokens)});
  }
  return out;
}

TraceRow row_of(const json& object, std::uint64_t line) {
  if (!object.is_object()) throw BadLine{"a line is no JSON object", object.dump(), "{...}"};
  check_keys(object, {"id", "arrival_s", "prompt_tokens", "seed", "segments", "prompt",
                      "max_tokens", "adapter"});
  TraceRow row;
  row.id = object.contains("id") ? text_of(object, "id") : std::to_string(line);
  row.arrival = arrival_of(object);
  row.segments = segments_of(object, line);
  row.prompt = text_of(object, "prompt");
  row.max_tokens = static_cast<std::int32_t>(whole(object, "max_tokens", 0, 1));
  row.adapter = text_of(object, "adapter");
  if (row.max_tokens == 0) throw BadLine{"max_tokens is missing", "nothing", "at least 1"};
  if (row.segments.empty() == row.prompt.empty())
    throw BadLine{"a row has one prompt", row.prompt.empty() ? "none" : "two",
                  "one of prompt_tokens, segments and prompt"};
  if (object.contains("segments") && object.contains("prompt_tokens") &&
      whole(object, "prompt_tokens", 0, 1) != row.prompt_tokens())
    throw BadLine{"prompt_tokens is not the sum of the segments", object["prompt_tokens"].dump(),
                  std::to_string(row.prompt_tokens())};
  return row;
}

}  // namespace

std::int64_t TraceRow::prompt_tokens() const {
  std::int64_t tokens = 0;
  for (const TraceSegment& segment : segments) tokens += segment.tokens;
  return tokens;
}

// For json::parse: refuses what could only be shown by running down all of it.
static bool shallow(int depth, json::parse_event_t, json&) {
  constexpr int kDeepest = 32;
  if (depth > kDeepest)
    throw BadLine{"a line is nested too deep", "more than " + std::to_string(kDeepest) + " levels",
                  "an object of numbers, texts and one list"};
  return true;
}

Result<std::vector<TraceRow>> parse_trace(const std::string& text, const std::string& name) {
  std::vector<TraceRow> rows;
  std::set<std::string> ids;
  std::istringstream in(text);
  std::string line;
  for (std::uint64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      rows.push_back(row_of(json::parse(line, &shallow), number));
      if (!ids.insert(rows.back().id).second)
        throw BadLine{"an id is given twice", rows.back().id, "one row for each id"};
    } catch (const BadLine& bad) {
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-A022",
                   .message = bad.message,
                   .where = name + ":" + std::to_string(number),
                   .found = bad.found,
                   .expected = bad.expected};
    } catch (const json::exception& bad) {
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-A022",
                   .message = "a line is no JSON",
                   .where = name + ":" + std::to_string(number),
                   .found = bad.what()};
    }
  }
  if (rows.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A022",
                 .message = "the trace has no rows",
                 .where = name,
                 .expected = "one JSON object a line"};
  std::stable_sort(rows.begin(), rows.end(),
                   [](const TraceRow& a, const TraceRow& b) { return a.arrival < b.arrival; });
  return rows;
}

Result<std::vector<TraceRow>> read_trace(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad())
    return Error{.code = Code::kNotFound,
                 .id = "TENON-A021",
                 .message = "cannot read the trace",
                 .where = path};
  return parse_trace(text, path);
}

std::string trace_line(const TraceRow& row) {
  ordered_json out = {{"id", row.id}, {"arrival_s", row.arrival}};
  if (!row.prompt.empty()) {
    out["prompt"] = row.prompt;
  } else {
    out["prompt_tokens"] = row.prompt_tokens();
    if (row.segments.size() == 1) {
      out["seed"] = row.segments[0].seed;
    } else {
      out["segments"] = ordered_json::array();
      for (const TraceSegment& segment : row.segments)
        out["segments"].push_back({{"seed", segment.seed}, {"tokens", segment.tokens}});
    }
  }
  out["max_tokens"] = row.max_tokens;
  if (!row.adapter.empty()) out["adapter"] = row.adapter;
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<std::int32_t> segment_tokens(const TraceRow& row,
                                         std::span<const std::int32_t> alphabet,
                                         std::uint64_t round) {
  std::vector<std::int32_t> out;
  out.reserve(static_cast<std::size_t>(row.prompt_tokens()));
  for (const TraceSegment& segment : row.segments) {
    TraceRandom random(segment.seed + round * 0x9E3779B97F4A7C15u);
    for (std::int32_t i = 0; i < segment.tokens; ++i)
      out.push_back(alphabet[random.bits() % alphabet.size()]);
  }
  return out;
}

}  // namespace tenon
