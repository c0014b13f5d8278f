// The kit against plugins with one defect each: it names the defect, and finds nothing in those
// that have none.
#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"

namespace tenon {
namespace {

using nlohmann::json;

struct KitRun {
  int exit_code;
  json report;
};

KitRun conform(const std::string& name, std::vector<std::string> options) {
  const std::string out = testing::TempDir() + "/conform-" + name + ".json";
  std::string command = "exec \"$0\" \"$@\" > " + out;
  std::vector<std::string> argv = {"/bin/sh", "-c",
                                   command,   TENON_BINARY_DIR "/bin/tenon",
                                   "conform", TENON_BINARY_DIR "/fixtures/defects/" + name + ".so",
                                   "--json"};
  argv.insert(argv.end(), options.begin(), options.end());
  const auto child = app::run_child({.argv = argv});
  EXPECT_TRUE(child.ok()) << child.error().to_string();
  std::ifstream file(out);
  json report = json::parse(file, nullptr, false);
  EXPECT_FALSE(report.is_discarded()) << name << ": " << (child.ok() ? child->output : "");
  return {child.ok() ? child->exit_code : -1, std::move(report)};
}

struct Defect {
  const char* fixture;
  const char* test;
  const char* outcome;
  const char* says;  // part of the finding
};

const Defect kDefects[] = {
    {"no-licence", "static.licence", "failed", "names no licence"},
    {"no-oracle", "static.numerics", "failed", "names no oracle"},
    {"no-doc", "static.parameters", "failed", "\"limit\" has no doc"},
    {"shares-state", "static.initialisers", "failed", "runs when it is opened"},
    {"starts-thread", "static.threads", "failed", "starts threads of its own"},
    {"starts-thread", "contract.threads", "failed", "starts 1 threads"},
    {"prints", "static.output", "warning", "writes to the process's output"},
    {"prints", "scheduler.nothing", "failed", "writes to the process's output"},
    {"prints", "contract.output", "failed", "hello from a plugin"},
    {"fast-math", "load.float-mode", "failed", "-ffast-math"},
    {"entry-changes", "load.entry", "failed", "another table each time"},
    {"hangs", "contract.create", "failed", "not done after 3 seconds"},
    {"any-id", "contract.unknown-interface", "failed", "does not list"},
    {"asks-unlisted", "contract.services", "failed", "asks for service tenon.threads/1"},
    {"equal-size", "contract.newer-host", "failed", "refuses structs that have grown"},
    {"no-links", "contract.unknown-link", "failed", "does not ignore an unknown link"},
    {"by-place", "params.by-key", "failed", "minds the order of parameters"},
    {"silent", "params.missing", "failed", "no message"},
    {"refuses-bound", "params.bounds", "failed", "limit: 4096"},
    {"refuses-bound", "params.random", "failed", "write the rule into the descriptor"},
    {"retains", "params.borrowed", "failed", "reads parameters after create()"},
    {"leaks", "memory.leak", "failed", "1000 allocations are left"},
    {"ignores-exhaustion", "memory.exhausted", "crashed", "Segmentation fault"},
    {"throws", "scheduler.room", "failed", "thrown across the boundary"},
    {"crashes", "scheduler.decodes", "crashed", "Segmentation fault"},
    {"fails", "scheduler.decodes", "failed", "without a message"},
    {"changes-view", "scheduler.view", "failed", "changes the view"},
    {"never-empty", "scheduler.nothing", "failed", "the plan is not empty"},
    {"overflows", "scheduler.room", "failed", "beyond the room"},
    {"idles", "scheduler.alone", "failed", "runs nothing although requests are live"},
    {"nondeterministic", "determinism.trace", "failed", "first"},
    {"remembers", "determinism.view", "failed", "depends on what was asked before"},
    {"starves", "scheduler.traces", "failed", "although requests are live"},
    {"stalls-decodes", "scheduler.decodes", "failed", "although requests are live"},
    {"skips-tokens", "scheduler.traces", "failed", "tokens must begin at the frontier"},
    {"runs-twice", "scheduler.room", "failed", "beyond the room"},
    {"poisons", "state.cache", "failed", "not what is kept under that key"},
    {"poisons", "engine.oracle", "failed", "a page that it does not hold"},
    {"lookup-uses", "cache.lookup", "failed", "changes what it is worth"},
    {"adopts", "state.cache", "failed", "keeps 0 pages and offers 1"},
    {"hoards", "cache.all-back", "failed", "none is offered"},
    {"offers-twice", "cache.offers", "failed", "twice"},
    {"remembers-evicted", "cache.evicted", "failed", "after it was evicted"},
    {"half-keys", "cache.keys", "failed", "shares only a half"},
    {"mixes-specs", "cache.specs", "failed", "a page of spec 0 is found in spec 1"},
    {"shares-state", "state.cache-instances", "failed", "the pages of another"},
    {"shares-places", "attention.plan", "failed", "two layers keep their state in one place"},
    {"forgets", "attention.windows", "failed", "keeps the last 64 alone"},
    {"allocates", "memory.select", "failed", "allocates in a step"},
    {"overwrites-answers", "numeric.ragged", "failed", "TENON-P090"},
    {"reads-past", "numeric.ragged", "failed", "a count that the sequence does not have"},
    {"lies", "numeric.complete", "failed", "which dense attention reads"},
    {"lies", "engine.oracle", "failed", "it says that it is exact"},
    {"batch-dependent", "numeric.permutation", "failed", "when others are in the batch"},
    {"overlaps", "parallelism.covers", "failed", "do not make up the model"},
    {"names-no-count", "parallelism.refuses", "failed", "does not say which counts"},
    {"swallows", "parallelism.services-fail", "failed", "although every service"},
};

TEST(Conform, EachDefectIsNamed) {
  for (const Defect& defect : kDefects) {
    const std::string only = std::string("^") + defect.test + "$";
    std::vector<std::string> options = {"--include", only};
    if (std::string(defect.fixture) == "hangs") options.insert(options.end(), {"--timeout", "3"});
    const KitRun run = conform(defect.fixture, options);
    const std::string what = std::string(defect.fixture) + ", " + defect.test;
    ASSERT_TRUE(run.report.contains("tests")) << what << run.report.dump();
    const json& test = run.report["tests"].at(0);
    EXPECT_EQ(test["outcome"], defect.outcome) << what << ": " << test["text"];
    EXPECT_NE(test["text"].get<std::string>().find(defect.says), std::string::npos)
        << what << ": " << test["text"];
    EXPECT_EQ(run.exit_code, std::string(defect.outcome) == "warning" ? 0 : 1) << what;
  }
}

// A defect is not found where it is not: the kit lets the other tests of such a plugin pass.
TEST(Conform, WhatHasNoDefectConforms) {
  const std::string quick = R"(^(scheduler\.(traces|parameters|crowd)|cache\.(large|traces))$)";
  for (const char* name :
       {"none-scheduler", "none-cache", "none-attention", "none-parallelism", "none-raw"}) {
    const KitRun run = conform(name, {"--exclude", quick});
    EXPECT_EQ(run.exit_code, 0) << name;
    for (const json& test : run.report["tests"])
      EXPECT_TRUE(test["outcome"] == "ok" || test["outcome"] == "skipped")
          << name << ", " << test["name"] << ": " << test["text"];
  }
}

TEST(Conform, ADefectIsNotSeenEverywhere) {
  for (const auto& [name, found] : std::vector<std::pair<const char*, std::vector<std::string>>>{
           {"no-links", {"contract.unknown-link"}},
           {"equal-size", {"contract.newer-host"}},
           {"by-place", {"params.by-key"}},
           {"any-id", {"contract.unknown-interface"}},
           {"silent", {"params.missing"}},
           {"entry-changes", {"load.entry"}}}) {
    std::vector<std::string> bad;
    const KitRun run = conform(name, {"--include", "^(static|load|contract|params|memory)"});
    for (const json& test : run.report["tests"])
      if (test["outcome"] == "failed" || test["outcome"] == "crashed") bad.push_back(test["name"]);
    EXPECT_EQ(bad, found) << name;
  }
}

TEST(Conform, ASeedGivesTheSameFindingAgain) {
  const auto finding = [](const char* seed) {
    return conform("nondeterministic", {"--include", "^scheduler.alone$", "--seed", seed})
        .report["seed"]
        .get<std::uint64_t>();
  };
  EXPECT_EQ(finding("7"), 7u);
  const auto text = [] {
    return conform("skips-tokens", {"--include", "^scheduler.traces$", "--seed", "42"})
        .report["tests"]
        .at(0)["text"]
        .get<std::string>();
  };
  const std::string first = text();
  EXPECT_NE(first.find("seed 42"), std::string::npos) << first;
  EXPECT_EQ(text(), first);
}

TEST(Conform, FuzzingFindsWhatOneSeedDoesNot) {
  const KitRun run = conform("poisons", {"--include", "^state.cache$", "--fuzz", "5"});
  EXPECT_EQ(run.exit_code, 1);
}

}  // namespace
}  // namespace tenon
