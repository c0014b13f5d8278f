#include "apps/tenon/bench/arm.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/tenon/interrupt.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/session.h"
#include "apps/tenon/subprocess.h"

namespace tenon::app {
namespace {

using nlohmann::json;

std::string line_of(const BenchCell& cell, std::uint64_t seed) {
  return json{{"prompt", cell.prompt},
              {"gen", cell.gen},
              {"depth", cell.depth},
              {"batch", cell.batch},
              {"seed", seed}}
      .dump();
}

BenchCell cell_from(const json& in) {
  return {in.at("prompt").get<std::int64_t>(), in.at("gen").get<std::int64_t>(),
          in.at("depth").get<std::int64_t>(), in.at("batch").get<std::int64_t>()};
}

std::string line_of(const BenchRound& round) {
  return json{{"prefill_tokens", round.prefill_tokens},
              {"decode_tokens", round.decode_tokens},
              {"prefill_time", round.prefill_time},
              {"decode_time", round.decode_time},
              {"spared", round.spared},
              {"gaps", round.gaps}}
      .dump();
}

BenchRound round_from(const json& in) {
  return {.prefill_tokens = in.at("prefill_tokens").get<std::int64_t>(),
          .decode_tokens = in.at("decode_tokens").get<std::int64_t>(),
          .prefill_time = in.at("prefill_time").get<double>(),
          .decode_time = in.at("decode_time").get<double>(),
          .spared = in.at("spared").get<std::int64_t>(),
          .gaps = in.at("gaps").get<std::vector<double>>()};
}

Error not_understood(const std::string& arm, const std::string& said) {
  return {.code = Code::kDataLoss,
          .id = "TENON-A092",
          .message = "a binary that is measured does not say what this one understands",
          .where = "arm " + arm,
          .found = said.substr(0, 120),
          .fix = "measure binaries whose `tenon bench` is of the same version"};
}

// What report_error() printed in a child.
Error error_from(const std::string& arm, const json& in) {
  const auto text = [&](const char* key) { return in.value(key, std::string()); };
  const std::string where = text("where");
  return {.code = Code::kFailedPrecondition,
          .id = text("id"),
          .message = text("message"),
          .where = "arm " + arm + (where.empty() ? "" : ": " + where),
          .found = text("found"),
          .expected = text("expected"),
          .fix = text("fix")};
}

// The next line that a child says, if it is no error.
Result<json> hear(const std::string& arm, Companion& child) {
  Result<std::string> line = child.hear([] { return !interrupted(); });
  if (!line.ok()) {
    Error error = line.take_error();
    if (error.code != Code::kCancelled) error.where = "arm " + arm + ": " + error.where;
    return error;
  }
  json said = json::parse(*line, nullptr, false);
  if (!said.is_object()) return not_understood(arm, *line);
  if (said.contains("error")) return error_from(arm, said["error"]);
  return said;
}

void add_numbers(const char* flag, const std::vector<std::int64_t>& numbers,
                 std::map<std::string, std::vector<std::string>>& words) {
  std::string list;
  for (const std::int64_t number : numbers)
    list += (list.empty() ? "" : ",") + std::to_string(number);
  words[flag] = {list};
}

}  // namespace

std::vector<BenchCell> cells_of(const BenchCommand& command) {
  std::vector<BenchCell> out;
  for (const std::int64_t batch : command.batch)
    for (const std::int64_t depth : command.depth)
      for (const std::int64_t prompt : command.prompt)
        for (const std::int64_t gen : command.gen) out.push_back({prompt, gen, depth, batch});
  return out;
}

Result<BenchArm> open_arm(const BenchCommand& command) {
  TENON_ASSIGN(Manifest manifest, choose_manifest(command.engine));
  if (manifest.engine.kv_pages == 0 && manifest.engine.kv_bytes == 0)
    manifest.engine.kv_pages = pages_needed(cells_of(command));
  TENON_ASSIGN(const AdapterWish wish, read_adapters(command.engine.adapters, manifest, false));
  add_adapters(wish, manifest);
  TENON_ASSIGN(std::unique_ptr<Session> opened, open_session(std::move(manifest), command.engine));
  const std::shared_ptr<Session> session = std::move(opened);
  BenchArm arm{.name = "A"};
  TENON_ASSIGN(arm.facts, facts_of(*session, command.engine, command.revision));
  const auto bench = std::make_shared<CellBench>(*session->engine, wish.names);
  arm.measure = [session, bench](const BenchCell& cell, std::uint64_t seed) {
    return bench->measure(cell, seed);
  };
  arm.finish = [session, choice = command.engine] {
    return report_profile(*session->engine, choice);
  };
  return arm;
}

Result<BenchArm> open_child_arm(const std::string& name, const std::string& binary,
                                std::vector<std::string> words) {
  words.insert(words.begin(), {binary, "bench", "--arm"});
  TENON_ASSIGN(Companion started, Companion::start(words));
  const auto child = std::make_shared<Companion>(std::move(started));
  TENON_ASSIGN(const json said, hear(name, *child));
  BenchArm arm{.name = name, .process = child->process(), .finish = [] { return Status(); }};
  TENON_ASSIGN(arm.facts, facts_from(said.dump()));
  arm.measure = [name, child](const BenchCell& cell, std::uint64_t seed) -> Result<BenchRound> {
    TENON_TRY(child->tell(line_of(cell, seed)));
    TENON_ASSIGN(const json round, hear(name, *child));
    try {
      return round_from(round);
    } catch (const json::exception&) {
      return not_understood(name, round.dump());
    }
  };
  return arm;
}

std::vector<std::string> arm_words(const BenchCommand& command,
                                   const std::vector<std::string>& more) {
  std::map<std::string, std::vector<std::string>> words;  // by flag
  const EngineChoice& engine = command.engine;
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) words[flag].push_back(value);
  };
  const auto add_number = [&](const char* flag, const std::optional<std::int64_t>& value) {
    if (value) words[flag] = {std::to_string(*value)};
  };
  add("--manifest", engine.manifest);
  add("--model", engine.model);
  add("--backend", engine.backend);
  add_number("--threads", engine.threads);
  add_number("--context", engine.context);
  add_number("--kv-pages", engine.kv_pages);
  for (const std::string& folder : engine.plugin_dirs) add("--plugins", folder);
  for (const std::string& adapter : engine.adapters) add("--adapter", adapter);
  if (engine.allow_untested) words["--allow-untested"] = {};
  if (engine.check_boundary) words["--check-boundary"] = {};
  add_numbers("--prompt", command.prompt, words);
  add_numbers("--gen", command.gen, words);
  add_numbers("--depth", command.depth, words);
  add_numbers("--batch", command.batch, words);
  for (std::string flag : more) {
    flag = flag.substr(0, flag.find('='));
    words.erase(flag == "-m" ? "--manifest" : flag == "-t" ? "--threads" : flag);
  }
  std::vector<std::string> out;
  for (const auto& [flag, values] : words) {
    if (values.empty()) out.push_back(flag);
    for (const std::string& value : values) out.insert(out.end(), {flag, value});
  }
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

int serve_arm(const BenchCommand& command) {
  Result<BenchArm> arm = open_arm(command);
  if (!arm.ok()) return report_error(arm.error(), true);
  const auto say = [](const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  };
  say(arm->facts.json);
  for (std::string line; std::getline(std::cin, line);) {
    const json asked = json::parse(line, nullptr, false);
    if (!asked.is_object()) return report_error(not_understood("", line), true);
    Result<BenchRound> round =
        arm->measure(cell_from(asked), asked.at("seed").get<std::uint64_t>());
    if (!round.ok()) return report_error(round.error(), true);
    say(line_of(*round));
  }
  return kExitOk;
}

}  // namespace tenon::app
