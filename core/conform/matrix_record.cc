// docs/reference/compatibility.json: what a matrix records, and what a record says otherwise.
#include <nlohmann/json.hpp>

#include "core/conform/matrix.h"

namespace tenon::conform {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRun = "tenon plugin matrix";

std::string key_of(const PluginFile* plugin) {
  return plugin->descriptor.id + " " + plugin->descriptor.version;
}

std::vector<std::string> keys_of(const MatrixCell& cell) {
  std::vector<std::string> out;
  for (const PluginFile* part : cell.parts) out.push_back(key_of(part));
  std::sort(out.begin(), out.end());
  return out;
}

// In which list of the record a cell stands.
const char* list_of(const MatrixCell& cell) {
  if (cell.mark == Mark::kConflict) return "conflicts";
  if (cell.mark == Mark::kUntested) return "untested";
  return cell.parts.size() == 1 ? "single" : "pairs";
}
constexpr const char* kLists[] = {"single", "pairs", "conflicts", "untested"};

// The plugins of a cell; then why it was not run, or how it went.
ordered_json row_of(const MatrixCell& cell) {
  ordered_json row = keys_of(cell);
  if (cell.mark == Mark::kConflict || cell.mark == Mark::kUntested) {
    row.push_back(cell.reason);
    return row;
  }
  row.push_back(cell.mark == Mark::kDisagrees ? "failed" : "passed");
  row.push_back(kRun);
  ordered_json found = ordered_json::object();
  for (std::size_t model = 0; model < kMatrixModels.size(); ++model)
    if (!cell.measured[model].empty())
      found[model_name(kMatrixModels[model])] = cell.measured[model];
  if (cell.mark == Mark::kDegraded) found["degraded"] = cell.reason;
  row.push_back(std::move(found));
  return row;
}

std::string text_of(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// By the plugins that a row begins with.
using Rows = std::map<std::vector<std::string>, std::string>;

std::vector<std::string> plugins_of(const std::string& list, const ordered_json& row) {
  std::vector<std::string> out;
  const std::size_t n = list == "single"  ? 1
                        : list == "pairs" ? 2
                                          : (row.empty() ? 0 : row.size() - 1);
  for (std::size_t i = 0; row.is_array() && i < std::min(n, row.size()); ++i)
    if (row[i].is_string()) out.push_back(row[i].get<std::string>());
  return out;
}

Rows rows_of(std::string_view record) {
  Rows out;
  const ordered_json root = ordered_json::parse(record, nullptr, false);
  if (!root.is_object()) return out;
  for (const char* list : kLists) {
    if (!root.contains(list) || !root[list].is_array()) continue;
    for (const ordered_json& row : root[list])
      out[plugins_of(list, row)] = std::string(list) + ": " + text_of(row);
  }
  return out;
}

std::string names_of(const std::vector<std::string>& plugins) {
  std::string out;
  for (const std::string& plugin : plugins) out += (out.empty() ? "" : " with ") + plugin;
  return out;
}

constexpr const char* kAnew = "tenon plugin matrix --update docs/reference writes it anew";

}  // namespace

std::string matrix_record(const Matrix& matrix) {
  std::string out = "{\"format\": 1";
  for (const char* list : kLists) {
    std::map<std::vector<std::string>, std::string> rows;
    for (const MatrixCell& cell : matrix.cells())
      if (cell.wanted && std::string_view(list) == list_of(cell))
        rows[keys_of(cell)] = text_of(row_of(cell));
    out += std::string(",\n \"") + list + "\": [";
    bool first = true;
    for (const auto& [plugins, row] : rows) {
      out += (first ? "\n  " : ",\n  ") + row;
      first = false;
    }
    out += rows.empty() ? "]" : "\n ]";
  }
  return out + "}\n";
}

std::vector<Error> check_matrix(const Matrix& matrix, std::string_view record, bool partial) {
  std::vector<Error> out;
  Rows recorded = rows_of(record);
  for (const MatrixCell& cell : matrix.cells()) {
    if (!cell.wanted) continue;
    const std::vector<std::string> plugins = keys_of(cell);
    const std::string found = std::string(list_of(cell)) + ": " + text_of(row_of(cell));
    if (cell.mark == Mark::kDisagrees)
      out.push_back({.code = Code::kFailedPrecondition,
                     .id = "TENON-A082",
                     .message = "the contracts allow what does not work",
                     .where = names_of(plugins),
                     .found = cell.reason,
                     .expected = "what the plugins claim",
                     .fix = "mend the plugin, or let its descriptor say what holds"});
    const auto at = recorded.find(plugins);
    if (at == recorded.end())
      out.push_back({.code = Code::kFailedPrecondition,
                     .id = "TENON-A083",
                     .message = "the record of compatibility lacks these plugins",
                     .where = names_of(plugins),
                     .found = found,
                     .fix = kAnew});
    else if (at->second != found)
      out.push_back({.code = Code::kFailedPrecondition,
                     .id = "TENON-A084",
                     .message = "the record of compatibility says something else",
                     .where = names_of(plugins),
                     .found = found,
                     .expected = at->second,
                     .fix = kAnew});
    if (at != recorded.end()) recorded.erase(at);
  }
  for (const auto& [plugins, row] : recorded)
    if (!partial)
      out.push_back({.code = Code::kFailedPrecondition,
                     .id = "TENON-A085",
                     .message = "the record of compatibility has plugins that are not here",
                     .where = names_of(plugins),
                     .found = row,
                     .fix = kAnew});
  return out;
}

}  // namespace tenon::conform
