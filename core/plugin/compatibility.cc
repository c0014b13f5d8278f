#include "core/plugin/compatibility.h"

#include <nlohmann/json.hpp>

#include "core/plugin/compatibility_data.h"

namespace tenon {
namespace {

using nlohmann::json;

Error malformed(const std::string& name, std::string found, std::string expected) {
  return Error{.code = Code::kDataLoss,
               .id = "TENON-P067",
               .message = "this is no record of compatibility",
               .where = name,
               .found = std::move(found),
               .expected = std::move(expected),
               .fix = "restore docs/reference/compatibility.json, or write it anew"};
}

bool is_pair(const json& row) {
  const auto texts = [](auto from, auto to) {
    return std::all_of(from, to, [](const json& item) { return item.is_string(); });
  };
  if (!row.is_array() || row.size() < 4 || row.size() > 5) return false;
  return texts(row.begin(), row.begin() + 4) &&
         (row.size() == 4 || (row[4].is_object() && texts(row[4].begin(), row[4].end())));
}

std::pair<std::string, std::string> ordered(std::string a, std::string b) {
  if (b < a) std::swap(a, b);
  return {std::move(a), std::move(b)};
}

}  // namespace

const PairResult* CompatibilityRecord::find(const std::string& a, const std::string& b) const {
  const auto at = pairs.find(ordered(a, b));
  return at == pairs.end() ? nullptr : &at->second;
}

Result<CompatibilityRecord> parse_compatibility(std::string_view text, const std::string& name) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || root.value("format", json()) != 1 ||
      !root.value("pairs", json()).is_array())
    return malformed(name, root.is_discarded() ? "no JSON" : "another object",
                     "{\"format\": 1, \"pairs\": [...]}");
  CompatibilityRecord out;
  for (const json& row : root["pairs"]) {
    const std::string shown = row.dump(-1, ' ', false, json::error_handler_t::replace);
    if (!is_pair(row))
      return malformed(name, shown, "[\"id version\", \"id version\", result, run, {texts}]");
    const auto result = row[2].get<std::string>();
    if (result != "passed" && result != "failed")
      return malformed(name, shown, "\"passed\" or \"failed\"");
    const bool added = out.pairs
                           .emplace(ordered(row[0].get<std::string>(), row[1].get<std::string>()),
                                    PairResult{result == "passed", row[3].get<std::string>()})
                           .second;
    if (!added) return malformed(name, shown, "each pair once");
  }
  return out;
}

const CompatibilityRecord& compatibility_record() {
  // A test reads the same text, so what was built in is well formed.
  static const CompatibilityRecord record = [] {
    auto read = parse_compatibility(kCompatibilityJson, "docs/reference/compatibility.json");
    return read.ok() ? std::move(read).value() : CompatibilityRecord();
  }();
  return record;
}

std::string_view compatibility_text() { return kCompatibilityJson; }

}  // namespace tenon
