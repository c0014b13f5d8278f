// `conform`: the kit's tests against one library, each in a process of its own.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <regex>

#include "apps/tenon/cli.h"
#include "apps/tenon/installation.h"
#include "apps/tenon/isolated.h"
#include "apps/tenon/session.h"
#include "core/base/suggest.h"
#include "core/conform/process_watch.h"
#include "core/conform/test.h"

namespace tenon::app {
namespace {

using conform::Finding;
using conform::Outcome;
using conform::Test;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Row {
  const Test* test;
  Finding finding;
  double seconds = 0;
  std::string output;  // what the process wrote
  bool done = false;
};

Result<ParamValue> value_of(const ParamSpec& spec, const std::string& text) {
  std::size_t used = 0;
  try {
    switch (spec.type) {
      case ParamType::kBool:
        if (text == "true" || text == "false") return ParamValue(text == "true");
        break;
      case ParamType::kInt64: {
        const long long value = std::stoll(text, &used);
        if (used == text.size()) return ParamValue(static_cast<std::int64_t>(value));
        break;
      }
      case ParamType::kDouble: {
        const double value = std::stod(text, &used);
        if (used == text.size()) return ParamValue(value);
        break;
      }
      default:
        return ParamValue(text);
    }
  } catch (const std::exception&) {  // no number; said below
  }
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A070",
               .message = "the value is not of the parameter's type",
               .where = "--param " + spec.key,
               .found = "\"" + text + "\"",
               .expected = param_type_name(spec.type),
               .fix = "tenon inspect shows the plugin's parameters"};
}

Result<ManifestParam> param_of(const PluginDescriptor& plugin, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string key = text.substr(0, equals);
  std::vector<std::string> known;
  for (const ParamSpec& spec : plugin.params) {
    known.push_back(spec.key);
    if (spec.key != key || equals == std::string::npos) continue;
    TENON_ASSIGN(ParamValue value, value_of(spec, text.substr(equals + 1)));
    return ManifestParam{key, std::move(value), "--param " + key};
  }
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A071",
               .message = "no such parameter",
               .where = "--param",
               .found = "\"" + text + "\"",
               .expected = "KEY=VALUE",
               .fix = suggest_fix(key, known)};
}

Result<conform::Subject> subject_of(const ConformCommand& command) {
  TENON_ASSIGN(HostConfig host, host_of_this_machine());
  conform::Subject out;
  TENON_ASSIGN(out.file,
               read_plugin_file(command.file, std::make_shared<const HostConfig>(std::move(host))));
  for (const std::string& text : command.params) {
    TENON_ASSIGN(ManifestParam param, param_of(out.descriptor(), text));
    out.params.push_back(std::move(param));
  }
  out.directories = command.plugin_dirs;
  if (out.directories.empty()) out.directories.push_back(find_installation().plugins);
  out.seed = command.seed;
  out.effort = static_cast<int>(command.effort);
  TENON_TRY(out.resolve());
  return out;
}

Result<std::vector<const Test*>> chosen_tests(const ConformCommand& command,
                                              const PluginDescriptor& plugin) {
  std::vector<const Test*> out;
  try {
    const std::regex include(command.include.empty() ? ".*" : command.include),
        exclude(command.exclude.empty() ? "$." : command.exclude);
    for (const Test& test : conform::tests())
      if (test.applies_to(plugin) && std::regex_search(test.name, include) &&
          !std::regex_search(test.name, exclude))
        out.push_back(&test);
  } catch (const std::regex_error& error) {
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A072",
                 .message = "--include or --exclude is no regular expression",
                 .found = error.what(),
                 .fix = "write one in the syntax of ECMAScript, e.g. ^load"};
  }
  if (out.empty())
    return Error{.code = Code::kNotFound,
                 .id = "TENON-A073",
                 .message = "no test of this kind is chosen",
                 .where = command.include,
                 .fix = "tenon conform --list shows the tests"};
  return out;
}

// The child's side of the wire: the outcome on the first line, its text on the others.
int run_one(const ConformCommand& command, const conform::Subject& subject) {
  for (const Test& test : conform::tests()) {
    if (command.only != test.name) continue;
    conform::CapturedOutput output({1});
    Finding finding = run_test(test, subject);
    const std::string said = output.finish();
    if (!said.empty() && finding.outcome < Outcome::kFailed && finding.text.empty())
      finding = conform::failed("the plugin writes to the process's output, where results go: \"" +
                                said.substr(0, 80) + "\"; use the host's log");
    std::ofstream(command.result) << conform::outcome_name(finding.outcome) << '\n' << finding.text;
    return kExitOk;
  }
  return kExitUsage;
}

Finding finding_of(const IsolatedResult& child) {
  if (child.hung) return conform::failed(child.trouble);
  if (!child.trouble.empty()) return {Outcome::kCrashed, child.trouble};
  const std::size_t line = child.written.find('\n');
  const std::string outcome = child.written.substr(0, line);
  for (const Outcome known : {Outcome::kOk, Outcome::kWarning, Outcome::kSkipped, Outcome::kFailed})
    if (outcome == conform::outcome_name(known) && line != std::string::npos)
      return {known, child.written.substr(line + 1)};
  return {Outcome::kCrashed, "the process ended with code 0 and without a result"};
}

std::vector<std::string> child_arguments(const ConformCommand& command, const Row& row,
                                         const conform::Subject& subject) {
  std::vector<std::string> out = {"conform", command.file, "--only", row.test->name};
  out.insert(out.end(),
             {"--seed", std::to_string(subject.seed), "--effort", std::to_string(subject.effort)});
  for (const std::string& param : command.params) out.insert(out.end(), {"--param", param});
  for (const std::string& folder : command.plugin_dirs)
    out.insert(out.end(), {"--plugins", folder});
  return out;
}

Status run_apart(const ConformCommand& command, const conform::Subject& subject, Row& row) {
  TENON_ASSIGN(IsolatedResult child,
               run_isolated(child_arguments(command, row, subject), command.timeout));
  row.finding = finding_of(child);
  row.seconds = child.seconds;
  row.output = std::move(child.output);
  return {};
}

void print_row(const Row& row) {
  std::printf("%-8s %-28s", conform::outcome_name(row.finding.outcome), row.test->name);
  if (row.finding.outcome != Outcome::kOk) std::printf("  %s", row.finding.text.c_str());
  std::putchar('\n');
  if (row.finding.outcome == Outcome::kCrashed && !row.output.empty())
    std::printf("         %s\n", row.output.c_str());
  if (row.finding.outcome == Outcome::kCrashed)
    std::printf("         again, in a debugger: tenon conform --include '^%s$' --in-process FILE\n",
                row.test->name);
  std::fflush(stdout);
}

Status run_row(const ConformCommand& command, const conform::Subject& subject, Row& row) {
  if (!command.in_process) return run_apart(command, subject, row);
  const Clock::time_point from = Clock::now();
  row.finding = run_test(*row.test, subject);
  row.seconds = std::chrono::duration<double>(Clock::now() - from).count();
  return {};
}

bool is_bad(const Row& row) { return row.finding.outcome >= Outcome::kFailed; }

// What every test of an instance stands on: when one of these fails, the others would say the same.
bool is_ground(const Row& row) {
  return row.test->name == std::string_view("load.opens") ||
         row.test->name == std::string_view("contract.create");
}

// Runs all rows, some at a time, first those that the others stand on; each is printed as it ends.
Status run_rows(const ConformCommand& command, const conform::Subject& subject,
                std::vector<Row>& rows) {
  const char* broken = nullptr;
  for (Row& row : rows) {
    if (!is_ground(row) || broken != nullptr) continue;
    TENON_TRY(run_row(command, subject, row));
    if (is_bad(row)) broken = row.test->name;
    row.done = true;
    if (!command.json) print_row(row);
  }
  std::mutex printing;
  return for_each_at_once(
      rows.size(), command.in_process ? 1 : command.jobs, [&](std::size_t i) -> Status {
        if (rows[i].done) return {};
        if (broken != nullptr && rows[i].test->group() != "static")
          rows[i].finding = conform::skipped(std::string("not run: ") + broken + " does not hold");
        else
          TENON_TRY(run_row(command, subject, rows[i]));
        const std::lock_guard lock(printing);
        if (!command.json) print_row(rows[i]);
        return {};
      });
}

int count(const std::vector<Row>& rows, Outcome outcome) {
  int n = 0;
  for (const Row& row : rows) n += row.finding.outcome == outcome;
  return n;
}

int report(const ConformCommand& command, const conform::Subject& subject,
           const std::vector<Row>& rows) {
  const bool good = count(rows, Outcome::kFailed) + count(rows, Outcome::kCrashed) == 0;
  constexpr Outcome kAll[] = {Outcome::kOk, Outcome::kWarning, Outcome::kSkipped, Outcome::kFailed,
                              Outcome::kCrashed};
  if (command.json) {
    ordered_json out = {{"plugin", subject.descriptor().id},
                        {"version", subject.descriptor().version},
                        {"file", subject.file.path},
                        {"sha256", subject.file.sha256},
                        {"seed", subject.seed},
                        {"effort", subject.effort},
                        {"good", good},
                        {"counts", ordered_json::object()},
                        {"tests", ordered_json::array()}};
    for (const Outcome outcome : kAll)
      out["counts"][conform::outcome_name(outcome)] = count(rows, outcome);
    for (const Row& row : rows)
      out["tests"].push_back({{"name", row.test->name},
                              {"about", row.test->about},
                              {"outcome", conform::outcome_name(row.finding.outcome)},
                              {"text", row.finding.text},
                              {"seconds", row.seconds},
                              {"output", row.output}});
    std::puts(out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
  } else {
    std::string counts;
    for (const Outcome outcome : kAll)
      if (const int n = count(rows, outcome); n > 0)
        counts += ", " + std::to_string(n) + " " + conform::outcome_name(outcome);
    std::printf("%s %s: %zu tests%s (seed %llu)\n", subject.descriptor().id.c_str(),
                good ? "conforms" : "does not conform", rows.size(), counts.c_str(),
                static_cast<unsigned long long>(subject.seed));
  }
  return good ? kExitOk : kExitError;
}

// Round after round with other seeds, until the time is over or something fails.
Result<std::vector<Row>> fuzz(const ConformCommand& command, conform::Subject& subject,
                              const std::vector<Row>& rows) {
  const Clock::time_point end =
      Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(command.fuzz * 1e3));
  ConformCommand quiet = command;
  quiet.json = true;  // a round prints one line
  std::vector<Row> last;
  for (int round = 0; round == 0 || Clock::now() < end; ++round) {
    if (round > 0) subject.seed = subject.seed * 6364136223846793005u + 1442695040888963407u;
    last = rows;
    TENON_TRY(run_rows(quiet, subject, last));
    if (!command.json)
      std::fprintf(stderr, "round %d, seed %llu: %d failed, %d crashed\n", round + 1,
                   static_cast<unsigned long long>(subject.seed), count(last, Outcome::kFailed),
                   count(last, Outcome::kCrashed));
    if (count(last, Outcome::kFailed) + count(last, Outcome::kCrashed) > 0) break;
  }
  if (!command.json)
    for (const Row& row : last)
      if (row.finding.outcome == Outcome::kFailed || row.finding.outcome == Outcome::kCrashed) {
        print_row(row);
        std::printf("         again: tenon conform %s --include '^%s$' --seed %llu --effort %d\n",
                    command.file.c_str(), row.test->name,
                    static_cast<unsigned long long>(subject.seed), subject.effort);
      }
  return last;
}

void print_reference_page() {
  std::puts(
      "# The conformance kit\n\nGenerated by `tenon conform --list --markdown`; do not edit. How "
      "to "
      "read a finding: [author/conform.md](../author/conform.md).\n\n"
      "| test | of | what holds |\n|---|---|---|");
  for (const Test& test : conform::tests())
    std::printf("| `%s` | %s | %s |\n", test.name, test.kind != nullptr ? test.kind : "every kind",
                test.about);
}

int list_tests(const ConformCommand& command) {
  if (command.markdown) {
    print_reference_page();
    return kExitOk;
  }
  ordered_json out = ordered_json::array();
  for (const Test& test : conform::tests()) {
    const char* kind = test.kind != nullptr ? test.kind : "";
    if (command.json)
      out.push_back({{"name", test.name}, {"kind", kind}, {"about", test.about}});
    else
      std::printf("%-28s %-12s %s\n", test.name, kind, test.about);
  }
  if (command.json) std::puts(out.dump(2).c_str());
  return kExitOk;
}

Result<int> conform_library(const ConformCommand& command) {
  TENON_ASSIGN(conform::Subject subject, subject_of(command));
  if (!command.only.empty()) return run_one(command, subject);
  TENON_ASSIGN(const std::vector<const Test*> chosen, chosen_tests(command, subject.descriptor()));
  std::vector<Row> rows;
  for (const Test* test : chosen) rows.push_back({.test = test});
  if (command.fuzz > 0) {
    TENON_ASSIGN(rows, fuzz(command, subject, rows));
  } else {
    TENON_TRY(run_rows(command, subject, rows));
  }
  return report(command, subject, rows);
}

}  // namespace

int run_command(const ConformCommand& command) {
  if (command.list) return list_tests(command);
  if (command.file.empty()) {
    report_error({.code = Code::kInvalidArgument,
                  .id = "TENON-A002",
                  .message = "FILE is required",
                  .where = "tenon conform",
                  .fix = "see tenon conform --help"},
                 command.json);
    return kExitUsage;
  }
  const Result<int> done = conform_library(command);
  return done.ok() ? *done : report_error(done.error(), command.json);
}

}  // namespace tenon::app
