// `plugin matrix`: every two plugins in one engine, each engine in a process of its own, beside
// what their contracts say.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <regex>

#include "apps/tenon/cli.h"
#include "apps/tenon/isolated.h"
#include "apps/tenon/session.h"
#include "core/conform/matrix.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;
using conform::Mark;
using conform::Matrix;
using conform::MatrixCell;
using conform::MatrixRun;
using conform::RunState;
using nlohmann::ordered_json;

// The child's side: one engine, and what came of it into the file.
Result<int> run_one(const PluginMatrixCommand& command, PluginCatalog& catalog) {
  TENON_ASSIGN(const Matrix matrix,
               Matrix::plan(catalog, [](const std::string&) { return false; }));
  MatrixRun run;
  for (const auto family : conform::kMatrixModels)
    if (command.family == conform::model_name(family)) run.family = family;
  std::stringstream ids(command.only == "-" ? "" : command.only);
  for (std::string id; std::getline(ids, id, ',');) {
    const PluginFile* plugin = matrix.find(id);
    if (plugin == nullptr) return static_cast<int>(kExitUsage);
    run.parts.push_back(plugin);
  }
  run_engine(matrix, catalog, run);
  std::ofstream(command.result, std::ios::binary) << run_text(run);
  return static_cast<int>(kExitOk);
}

Status run_apart(const PluginMatrixCommand& command, MatrixRun& run) {
  std::vector<std::string> arguments = {"plugin",   "matrix",   "--only",
                                        run.name(), "--family", conform::model_name(run.family)};
  for (const std::string& folder : command.plugin_dirs)
    arguments.insert(arguments.end(), {"--plugins", folder});
  TENON_ASSIGN(const IsolatedResult child, run_isolated(std::move(arguments), command.timeout));
  if (child.trouble.empty()) {
    read_run(child.written, run);
  } else {
    run.state = RunState::kCrashed;
    run.text = child.trouble;
  }
  return {};
}

// Those that were not run yet.
Status run_all(const PluginMatrixCommand& command, Matrix& matrix) {
  std::vector<MatrixRun*> waiting;
  for (MatrixRun& run : matrix.runs())
    if (run.state == RunState::kNotRun) waiting.push_back(&run);
  std::mutex printing;
  std::size_t done = 0;
  return for_each_at_once(waiting.size(), command.jobs, [&](std::size_t i) -> Status {
    TENON_TRY(run_apart(command, *waiting[i]));
    const std::lock_guard lock(printing);
    if (++done % 10 == 0 || done == waiting.size())
      std::fprintf(stderr, "%zu of %zu engines are done\n", done, waiting.size());
    return {};
  });
}

Result<Matrix> made(const PluginMatrixCommand& command, PluginCatalog& catalog) {
  std::regex wanted;
  try {
    wanted = std::regex(command.pairs);
  } catch (const std::regex_error& error) {
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A080",
                 .message = "--pairs is no regular expression",
                 .found = error.what(),
                 .fix = "write one in the syntax of ECMAScript, e.g. tenon.cache"};
  }
  std::size_t chosen = 0;
  TENON_ASSIGN(Matrix matrix, Matrix::plan(catalog, [&](const std::string& name) {
                 const bool is = std::regex_search(name, wanted);
                 chosen += is ? 1 : 0;
                 return is;
               }));
  if (chosen == 0)
    return Error{.code = Code::kNotFound,
                 .id = "TENON-A081",
                 .message = "no pair is chosen",
                 .where = "--pairs",
                 .found = command.pairs,
                 .expected = "a part of \"ID with ID\"",
                 .fix = "tenon plugin list shows the ids"};
  TENON_TRY(matrix.add_single_runs());
  TENON_TRY(run_all(command, matrix));
  TENON_TRY(matrix.add_pair_runs());
  TENON_TRY(run_all(command, matrix));
  matrix.judge();
  return matrix;
}

ordered_json json_of(const MatrixCell& cell) {
  ordered_json plugins = ordered_json::array(), measured = ordered_json::object();
  for (const PluginFile* part : cell.parts)
    plugins.push_back({{"id", part->descriptor.id},
                       {"version", part->descriptor.version},
                       {"kind", part->descriptor.kind},
                       {"sha256", part->sha256}});
  for (std::size_t i = 0; i < cell.measured.size(); ++i)
    if (!cell.measured[i].empty())
      measured[conform::model_name(conform::kMatrixModels[i])] = cell.measured[i];
  return {{"plugins", plugins},
          {"verdict", mark_name(cell.mark)},
          {"reason", cell.reason},
          {"models", measured}};
}

void print(const PluginMatrixCommand& command, const Matrix& matrix,
           const std::vector<Error>& errors) {
  ordered_json cells = ordered_json::array(), counts = ordered_json::object(),
               told = ordered_json::array();
  for (const Mark mark :
       {Mark::kWorks, Mark::kDegraded, Mark::kConflict, Mark::kUntested, Mark::kDisagrees})
    counts[mark_name(mark)] = 0;
  for (const MatrixCell& cell : matrix.cells()) {
    if (!cell.wanted) continue;
    ordered_json& count = counts[mark_name(cell.mark)];
    count = count.get<int>() + 1;
    if (command.json) {
      cells.push_back(json_of(cell));
      continue;
    }
    std::string text = cell.reason;
    for (std::size_t i = 0; i < cell.measured.size() && cell.mark != Mark::kDisagrees; ++i)
      if (!cell.measured[i].empty())
        text += (text.empty() ? "" : "; ") +
                std::string(conform::model_name(conform::kMatrixModels[i])) + " " +
                cell.measured[i];
    std::printf("%-9s  %s: %s\n", mark_name(cell.mark), cell.name().c_str(), text.c_str());
  }
  if (!command.json) {
    std::string line;
    for (const auto& [mark, count] : counts.items())
      line += (line.empty() ? "" : ", ") + std::to_string(count.get<int>()) + " " + mark;
    std::printf("%s, %zu engines run\n", line.c_str(), matrix.runs_done());
    return;
  }
  for (const Error& error : errors)
    told.push_back({{"id", error.id}, {"where", error.where}, {"text", error.to_string()}});
  const ordered_json out = {{"counts", counts}, {"cells", cells}, {"errors", told}};
  std::puts(out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

struct Page {
  const char* name;
  std::string text;
};
std::vector<Page> pages(const Matrix& matrix) {
  return {{"compatibility.json", matrix_record(matrix)},
          {"compatibility.md", matrix_page(matrix)},
          {"compatibility.svg", matrix_picture(matrix)}};
}

Status write_pages(const std::string& folder, const Matrix& matrix) {
  for (const Page& page : pages(matrix)) {
    const fs::path path = fs::path(folder) / page.name;
    std::ofstream file(path, std::ios::binary);
    file << page.text;
    file.close();
    if (!file)
      return Error{.code = Code::kUnavailable,
                   .id = "TENON-A087",
                   .message = "cannot write the file",
                   .where = path.string(),
                   .fix = "name a folder that is there and can be written to"};
  }
  return {};
}

// Against the files of a folder, or, without one, the record that this program was built with.
Result<std::vector<Error>> differences(const PluginMatrixCommand& command, const Matrix& matrix) {
  const bool partial = !command.pairs.empty();
  if (command.check_folder.empty()) return check_matrix(matrix, compatibility_text(), partial);
  std::vector<Error> out;
  for (const Page& page : pages(matrix)) {
    const std::string path = (fs::path(command.check_folder) / page.name).string();
    TENON_ASSIGN(const std::string text, read_input(path));
    if (page.name == std::string("compatibility.json")) out = check_matrix(matrix, text, partial);
    if (!partial && text != page.text)
      out.push_back({.code = Code::kFailedPrecondition,
                     .id = "TENON-A086",
                     .message = "the file is not what the run gives",
                     .where = path,
                     .fix = "tenon plugin matrix --update " + command.check_folder});
  }
  return out;
}

Result<int> matrix_of(const PluginMatrixCommand& command) {
  TENON_ASSIGN(PluginCatalog catalog, open_catalog(command.plugin_dirs, true));
  if (!command.only.empty()) return run_one(command, catalog);
  TENON_ASSIGN(const Matrix matrix, made(command, catalog));
  std::vector<Error> errors = check_matrix(matrix, matrix_record(matrix), true);  // the liars
  if (!command.update.empty()) TENON_TRY(write_pages(command.update, matrix));
  if (command.check) {
    TENON_ASSIGN(errors, differences(command, matrix));
  }
  print(command, matrix, errors);
  std::fflush(stdout);
  for (const Error& error : errors) report_error(error);
  return static_cast<int>(errors.empty() ? kExitOk : kExitError);
}

}  // namespace

int run_command(const PluginMatrixCommand& command) {
  const Result<int> done = matrix_of(command);
  return done.ok() ? *done : report_error(done.error(), command.json);
}

}  // namespace tenon::app
