// What `tenon bench` is made of, on the tiny model, and the command as a user gives it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/tenon/bench/arm.h"
#include "apps/tenon/bench/cell.h"
#include "apps/tenon/bench/compare.h"
#include "apps/tenon/bench/machine_limits.h"
#include "apps/tenon/bench/report.h"
#include "apps/tenon/bench/roof.h"
#include "apps/tenon/bench/rounds.h"
#include "apps/tenon/subprocess.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon::app {
namespace {

using nlohmann::json;

TEST(Bench, ARoundCountsWhatWasTimed) {
  const auto engine = load_engine({}, TinyModel().save("bench"));
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  CellBench bench(**engine, {});
  // The 100 tokens of depth leave one full page of 64 in the cache; the other 36 are read again.
  const auto round = bench.measure({.prompt = 20, .gen = 6, .depth = 100, .batch = 2}, 1);
  ASSERT_TRUE(round.ok()) << round.error().to_string();
  EXPECT_EQ(round->spared, 64);
  EXPECT_EQ(round->prefill_tokens, 2 * (20 + 36));
  EXPECT_EQ(round->decode_tokens, 2 * 6);
  EXPECT_LE(round->gaps.size(), 12u);
  EXPECT_GE(round->gaps.size(), 10u);
  EXPECT_GT(round->prefill_rate(), 0);
  EXPECT_GT(round->decode_rate(), 0);

  const auto only_gen = bench.measure({.prompt = 0, .gen = 4, .depth = 0, .batch = 1}, 2);
  ASSERT_TRUE(only_gen.ok());
  EXPECT_EQ(only_gen->prefill_rate(), 0);
  EXPECT_EQ(only_gen->gaps.size(), 4u);
  const auto only_prompt = bench.measure({.prompt = 9, .gen = 0, .depth = 0, .batch = 1}, 3);
  ASSERT_TRUE(only_prompt.ok());
  EXPECT_EQ(only_prompt->prefill_tokens, 9);
  EXPECT_EQ(only_prompt->decode_rate(), 0);
}

TEST(Bench, RoundsHaveSettledWhenTheLastThreeAgree) {
  EXPECT_FALSE(has_settled({100, 100}));
  EXPECT_FALSE(has_settled({100, 100, 94}));
  EXPECT_TRUE(has_settled({50, 100, 97, 96}));
  EXPECT_TRUE(has_settled({0, 0, 0}));  // nothing is timed
}

// An arm without an engine: its rates follow from the round and it notes what it was asked.
BenchArm scripted_arm(std::vector<std::uint64_t>& seeds, double rate) {
  BenchArm arm{.name = "scripted"};
  arm.measure = [&seeds, rate](const BenchCell& cell, std::uint64_t seed) -> Result<BenchRound> {
    seeds.push_back(seed);
    return BenchRound{.prefill_tokens = cell.prompt,
                      .decode_tokens = cell.gen,
                      .prefill_time = static_cast<double>(cell.prompt) / rate,
                      .decode_time = static_cast<double>(cell.gen) / rate,
                      .gaps = {1 / rate}};
  };
  arm.finish = [] { return Status(); };
  return arm;
}

TEST(Bench, ArmsMeasureTheSameTokensInEachRound) {
  std::vector<std::uint64_t> seeds[3];
  std::vector<BenchArm> arms;
  for (auto& each : seeds) arms.push_back(scripted_arm(each, arms.size() == 2 ? 110 : 100));
  const BenchPlan plan{.cells = {{.prompt = 8}, {.prompt = 16}}, .rounds = 6, .warm_up = 5};
  auto cells = run_rounds(plan, arms, [](const std::string&) {});
  ASSERT_TRUE(cells.ok());
  ASSERT_EQ(cells->size(), 2u);
  EXPECT_EQ((*cells)[0].warm_rounds, 3);
  EXPECT_TRUE((*cells)[0].steady);
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_EQ(seeds[0], seeds[2]);
  EXPECT_EQ(seeds[0].size(), 2u * (3 + 6));
  EXPECT_EQ(std::set<std::uint64_t>(seeds[0].begin(), seeds[0].end()).size(), seeds[0].size());
  const SampleComparison result = comparison_of((*cells)[0], BenchRate::kDecode);
  EXPECT_NEAR(result.change.ratio, 1.1, 1e-9);
  EXPECT_EQ(result.difference, Difference::kMore);
}

TEST(Bench, LimitsAreMeasuredForEachInstructionSet) {
  for (const std::string& isa : {std::string("avx2"), best_isa()}) {
    const auto limits = measure_limits(isa, 2, std::size_t{8} << 20);
    ASSERT_TRUE(limits.ok());
    EXPECT_EQ(limits->isa, isa);
    EXPECT_EQ(limits->one.threads, 1u);
    EXPECT_EQ(limits->all.threads, 2u);
    for (const Throughput& each : {limits->one, limits->all}) {
      EXPECT_GT(each.read, 0);
      EXPECT_GT(each.int8_ops, each.f32_ops);
      EXPECT_GT(each.f32_ops, 0);
    }
    EXPECT_EQ(json::parse(limits_json(*limits))["isa"], isa);
  }
}

BenchFacts facts_of_a_model() {
  BenchFacts facts{.device = "cpu avx2", .numerics = "contract/1", .threads = 2, .json = "{}"};
  facts.costs.body = {{TENON_LAYOUT_Q4M32, 1e6, 625e3, 625e3}};
  facts.costs.head = {{TENON_LAYOUT_Q8M32, 1e5, 1e5, 1e5}};
  facts.pools = {{0, 64 * 1000, 0}};
  return facts;
}
constexpr Throughput kLimits{.threads = 2, .read = 1e9, .int8_ops = 1e10, .f32_ops = 1e9};

TEST(Bench, TheRoofIsWhatTheMachineCouldDo) {
  const BenchFacts facts = facts_of_a_model();
  // 100 tokens: 2 * (100 * 1e6 + 1e5) operations.
  const Roof read = prefill_roof({.prompt = 100, .gen = 0}, facts, kLimits);
  EXPECT_FALSE(read.memory);
  EXPECT_NEAR(read.rate, 100 / 0.02002, 1e-6);
  // One token: the weights once.
  const Roof one = prefill_roof({.prompt = 1, .gen = 0}, facts, kLimits);
  EXPECT_TRUE(one.memory);
  EXPECT_NEAR(one.rate, 1e9 / 725e3, 1e-6);
  // Keys and values of 100 + 20 / 2 tokens.
  const Roof decode = decode_roof({.prompt = 0, .gen = 20, .depth = 100}, facts, kLimits);
  EXPECT_TRUE(decode.memory);
  EXPECT_NEAR(decode.rate, 1e9 / (725e3 + 110e3), 1e-6);
  const Roof batch =
      decode_roof({.prompt = 0, .gen = 20, .depth = 100, .batch = 2}, facts, kLimits);
  EXPECT_NEAR(batch.rate, 2 * 1e9 / (725e3 + 220e3), 1e-6);
  EXPECT_EQ(decode_roof({.gen = 0}, facts, kLimits).rate, 0);
}

TEST(Bench, AReportSaysWhatIsNotToBeBelieved) {
  BenchReport report;
  report.plan.cells = {{.prompt = 8, .gen = 4, .depth = 200}};
  report.limits = MachineLimits{.cpu = "a cpu", .isa = "avx2", .one = kLimits, .all = kLimits};
  report.arms.push_back({.name = "A", .facts = facts_of_a_model()});
  CellResult cell{.cell = report.plan.cells[0], .warm_rounds = 10, .steady = false, .others = 0.3};
  cell.arms = {{.prefill = {10, 12, 11}, .decode = {5, 5, 6}, .gaps = {0.2, 0.1}, .spared = 64}};
  report.cells = {cell};
  EXPECT_EQ(bench_warnings(report).size(), 3u);
  const json out = json::parse(bench_json(report));
  EXPECT_EQ(out["prefill_tps"], 11);
  EXPECT_EQ(out["cells"][0]["arms"][0]["itl_ms"]["max"], 200);
  EXPECT_EQ(out["samples"]["decode prompt=8 gen=4 depth=200 batch=1"], (std::vector{5, 5, 6}));
  EXPECT_GT(out["cells"][0]["arms"][0]["decode"]["share_of_roof"], 0);
  EXPECT_NE(bench_table(report).find("11.0 (10.0 to 12.0)"), std::string::npos);
}

TEST(Bench, OptionsOfBStandOverTheOthers) {
  BenchCommand command;
  command.engine.threads = 2;
  command.engine.manifest = "a.textproto";
  command.prompt = {8, 16};
  const auto has = [](const std::vector<std::string>& words, const std::string& flag,
                      const std::string& value) {
    for (std::size_t i = 0; i + 1 < words.size(); ++i)
      if (words[i] == flag) return words[i + 1] == value;
    return false;
  };
  const auto a = arm_words(command, {});
  EXPECT_TRUE(has(a, "--threads", "2"));
  EXPECT_TRUE(has(a, "--prompt", "8,16"));
  const auto b = arm_words(command, {"-t", "1", "--manifest=b.textproto"});
  EXPECT_TRUE(has(b, "-t", "1"));
  EXPECT_FALSE(has(b, "--threads", "2"));
  EXPECT_FALSE(has(b, "--manifest", "a.textproto"));
}

TEST(Bench, ACompanionAnswersAndItsEndIsAnError) {
  const auto always = [] { return true; };
  auto child = Companion::start(
      {"sh", "-c", "while read line; do echo \"got $line\"; done; echo over >&2; exit 3"});
  ASSERT_TRUE(child.ok());
  for (const std::string line : {"one", "two"}) {
    ASSERT_TRUE(child->tell(line).ok());
    EXPECT_EQ(*child->hear(always), "got " + line);
  }
  EXPECT_EQ(child->hear([] { return false; }).error().id, "TENON-A017");

  auto ended = Companion::start({"sh", "-c", "echo why >&2; kill -SEGV $$"});
  ASSERT_TRUE(ended.ok());
  const auto nothing = ended->hear(always);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().id, "TENON-A091");
  EXPECT_NE(nothing.error().found.find("signal: Segmentation fault: why"), std::string::npos)
      << nothing.error().found;
  EXPECT_EQ(Companion::start({"/nonexistent"}).error().id, "TENON-A020");
}

std::string write_records(const std::string& name, const std::vector<json>& records) {
  const std::string path = testing::TempDir() + "/bench-" + name + ".jsonl";
  std::ofstream file(path);
  for (const json& record : records) file << record.dump() << '\n';
  return path;
}

json record_of(double read, std::vector<double> rates) {
  return {{"limits",
           {{"cpu", "a cpu"},
            {"isa", "avx2"},
            {"all", {{"threads", 2}, {"read_gb_per_s", read}, {"int8_gops", 100.0}}}}},
          {"samples", {{"product", std::move(rates)}, {"empty", {0, 0}}}}};
}

TEST(Bench, ResultsOfTwoTimesAreComparedByLine) {
  const std::string file = write_records(
      "history", {record_of(20, {10, 10.1, 10, 9.9, 10}), record_of(20, {12, 12.1, 12, 11.9, 12}),
                  record_of(24, {12, 12.1, 12, 11.9, 12})});
  const auto result = [&](const std::string& a, const std::string& b) {
    const auto comparison = compare_records(*read_record(file + a), *read_record(file + b));
    EXPECT_TRUE(comparison.ok());
    EXPECT_EQ(comparison->rows.size(), 1u);  // what is 0 was not timed
    return comparison->rows[0].result;
  };
  EXPECT_EQ(result(":1", ":2").difference, Difference::kMore);
  EXPECT_EQ(result(":2", ":-3").difference, Difference::kLess);
  EXPECT_EQ(result(":1", ":1").difference, Difference::kNoDifference);
  // The machine itself was 20 % faster, so this says nothing. The last line is the default.
  EXPECT_EQ(result(":1", "").difference, Difference::kNoDifference);
  EXPECT_EQ(read_record(file + ":4").error().id, "TENON-A094");
  EXPECT_EQ(read_record(write_records("none", {json{{"rates", 1}}})).error().id, "TENON-A094");
  json other = record_of(20, {1, 1, 1, 1, 1});
  other["samples"] = {{"another", {1, 1, 1, 1, 1}}};
  other["limits"]["isa"] = "avx512vnni";
  const std::string elsewhere = write_records("other", {other});
  EXPECT_EQ(compare_records(*read_record(file), *read_record(elsewhere)).error().id, "TENON-A095");
  other["samples"]["product"] = {1, 1, 1, 1, 1};
  const auto mixed =
      compare_records(*read_record(file), *read_record(write_records("mixed", {other})));
  ASSERT_TRUE(mixed.ok());
  EXPECT_EQ(mixed->only_b, 1u);
  EXPECT_EQ(mixed->warnings.size(), 1u);
  EXPECT_NE(comparison_table(*mixed).find("slower 1"), std::string::npos);
}

class BenchCommandLine : public testing::Test {
 protected:
  // Its standard output; `code` is what it should end with.
  static std::string bench(std::vector<std::string> more, int code = 0) {
    static const std::string model = TinyModel().save("bench-cli");
    std::vector<std::string> words = {"sh",
                                      "-c",
                                      "\"$@\" 2>\"$0\"",
                                      errors(),
                                      TENON_BINARY_DIR "/bin/tenon",
                                      "bench",
                                      "--model",
                                      model,
                                      "--prompt",
                                      "8",
                                      "--gen",
                                      "4",
                                      "--threads",
                                      "2",
                                      "--warm-up",
                                      "1"};
    words.insert(words.end(), more.begin(), more.end());
    const auto result = run_child({.argv = words});
    EXPECT_TRUE(result.ok());
    if (!result.ok()) return "";
    EXPECT_EQ(result->exit_code, code) << result->output << said();
    return result->output;
  }
  static json last_line(const std::string& output) {
    const std::size_t end = output.find_last_not_of('\n');
    const std::size_t begin = output.rfind('\n', end);
    const json out =
        json::parse(output.substr(begin == std::string::npos ? 0 : begin + 1), nullptr, false);
    EXPECT_TRUE(out.is_object()) << output;
    return out;
  }
  static std::string errors() { return testing::TempDir() + "/bench-cli-errors"; }
  static std::string said() {
    std::ifstream file(errors());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
};

TEST_F(BenchCommandLine, EndsWithItsRates) {
  const json one = last_line(bench({"--no-limits", "--rounds", "2"}));
  EXPECT_GT(one["prefill_tps"], 0);
  EXPECT_GT(one["decode_tps"], 0);
  EXPECT_EQ(one["rounds"], 2);
  const json table = last_line(bench(
      {"--no-limits", "--rounds", "1", "--prompt", "0,16", "--depth", "0,64", "--batch", "2"}));
  ASSERT_EQ(table["cells"].size(), 6u);  // prompts 8, 0, 16; depths 0, 64
  EXPECT_EQ(table["cells"][5]["prompt"], 16);
  EXPECT_EQ(table["cells"][5]["depth"], 64);
  EXPECT_EQ(table["cells"][1]["prefill_tps"], 0);
  bench({"--prompt", "1,x"}, 2);
}

TEST_F(BenchCommandLine, ComparesEnginesInTurns) {
  const json out = last_line(
      bench({"--no-limits", "--rounds", "5", "--against-options", "--threads 1", "--json"}));
  ASSERT_EQ(out["arms"].size(), 3u);
  EXPECT_EQ(out["arms"][0]["threads"], 2);
  EXPECT_EQ(out["arms"][1]["threads"], 2);
  EXPECT_EQ(out["arms"][2]["threads"], 1);
  const json& cell = out["cells"][0];
  EXPECT_EQ(cell["arms"][2]["decode"]["samples"].size(), 5u);
  EXPECT_GT(cell["comparison"]["decode"]["ratio"], 0);
  EXPECT_TRUE(cell["comparison"]["prefill"]["verdict"].is_string());
}

// What --json prints is what --compare reads.
TEST_F(BenchCommandLine, ComparesItsOwnResults) {
  const std::string path =
      write_records("own", {last_line(bench({"--rounds", "1", "--no-limits", "--json"}))});
  const json out = last_line(bench({"--compare", path, path, "--json"}));
  ASSERT_EQ(out["rows"].size(), 2u);
  EXPECT_EQ(out["rows"][0]["verdict"], "too few rounds");
  bench({"--compare", path, "/nonexistent"}, 1);
  EXPECT_NE(said().find("TENON-A030"), std::string::npos) << said();
}

TEST_F(BenchCommandLine, AnArmThatCannotBeMeasuredIsNamed) {
  bench({"--against", "/nonexistent"}, 1);
  EXPECT_NE(said().find("TENON-M001 arm B"), std::string::npos) << said();
  bench({"--against-binary", "/nonexistent"}, 1);
  EXPECT_NE(said().find("TENON-A020"), std::string::npos) << said();
  bench({"--against-binary", "/bin/false"}, 1);
  EXPECT_NE(said().find("TENON-A091 arm B"), std::string::npos) << said();
  bench({"--against-binary", "/bin/echo"}, 1);
  EXPECT_NE(said().find("TENON-A092 arm B"), std::string::npos) << said();
  bench({"--against-options", "--contxt 5"}, 1);
  EXPECT_NE(said().find("unknown option"), std::string::npos) << said();
  bench({"--against", "x", "--profile"}, 2);
}

}  // namespace
}  // namespace tenon::app
