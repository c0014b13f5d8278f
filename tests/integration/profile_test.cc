// A profile of a whole engine: its rows are its wall time, and its trace is one that a viewer can
// nest.
#include "apps/tenon/profile_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon::app {
namespace {

using nlohmann::json;

std::unique_ptr<LoadedEngine> run(const LoadOptions& options) {
  tenon::EngineChoice engine;
  const auto manifest = parse_manifest(manifest_text(engine), "test.textproto");
  PluginCatalog catalog;
  EXPECT_TRUE(add_builtin_plugins(catalog).ok());
  EXPECT_TRUE(catalog.add_directory(TENON_BINARY_DIR "/plugins").ok());
  auto loaded = LoadedEngine::load(*manifest, catalog, TinyModel().save("profile"), options);
  EXPECT_TRUE(loaded.ok()) << loaded.error().to_string();
  std::vector<Answer> answers(2);
  for (Answer& answer : answers) {
    RequestSpec spec = (*loaded)->default_request();
    spec.prompt = {1, 2, 3, 4, 5};
    spec.max_tokens = 6;
    spec.ignore_eos = true;
    EXPECT_TRUE(submit_into(**loaded, std::move(spec), answer).ok());
  }
  const Status ran = (*loaded)->engine().run();
  EXPECT_TRUE(ran.ok()) << ran.error().to_string();
  EXPECT_EQ(answers[0].tokens.size(), 6u);
  return std::move(*loaded);
}

TEST(Profile, RowsAreTheWallTimeAndNamePluginsAndOps) {
  for (const bool checked : {false, true}) {
    const auto engine = run({.check_boundary = checked, .profile = true});
    const json out = json::parse(profile_json(*engine->profile()));
    double sum = 0;
    std::map<std::string, json> rows;
    for (const json& row : out["rows"]) {
      sum += row["ms"].get<double>();
      rows[row["plugin"].get<std::string>() + " " + row["call"].get<std::string>()] = row;
    }
    EXPECT_GT(out["wall_ms"].get<double>(), 0);
    EXPECT_NEAR(sum, out["wall_ms"].get<double>(), 0.02 * out["wall_ms"].get<double>());
    const std::uint64_t steps = engine->engine().stats().steps;
    const auto layers = static_cast<std::uint64_t>(engine->model().decoder.layers);
    for (const char* name : {"tenon.scheduler.fcfs scheduler.plan", "tenon.backend.cpu sample"})
      EXPECT_EQ(rows[name]["calls"], steps) << name;
    for (const char* name :
         {"tenon.model.decoder model.layer", "tenon.attention.dense attention.select",
          "tenon.backend.cpu attend", "tenon.backend.cpu linear ffn_down"})
      EXPECT_EQ(rows[name]["calls"], steps * layers) << name;
    EXPECT_TRUE(rows.contains("core report and detokenise"));
    // The weight is read once a step.
    double weight = 0;
    for (const WeightShape& each : engine->model().weights)
      if (each.name.ends_with("ffn_down.weight")) weight += static_cast<double>(each.bytes);
    EXPECT_GT(rows["tenon.backend.cpu linear ffn_down"]["bytes"].get<double>(),
              weight * static_cast<double>(steps));
    EXPECT_NE(profile_table(*engine->profile()).find("linear ffn_down"), std::string::npos);
  }
}

TEST(Profile, WithoutOneThereIsNone) { EXPECT_EQ(run({})->profile(), nullptr); }

struct Slice {
  double begin, end;
  std::string category, name;
};

// Slices of a track either lie inside one another or apart; gives the time of those that lie in no
// other.
double nested_time(std::vector<Slice> slices, std::int64_t track) {
  constexpr double kGrain = 0.0005;  // half a nanosecond
  std::stable_sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  std::vector<Slice> open;
  double top = 0;
  for (const Slice& slice : slices) {
    EXPECT_GE(slice.end, slice.begin);
    while (!open.empty() && open.back().end <= slice.begin + kGrain) open.pop_back();
    if (open.empty())
      top += slice.end - slice.begin;
    else
      EXPECT_LE(slice.end, open.back().end + kGrain)
          << "track " << track << ": " << slice.name << " in " << open.back().name;
    open.push_back(slice);
  }
  return top;
}

TEST(Profile, TheTraceNestsAndItsTimesAddUp) {
  const auto engine = run({.trace = true});
  const json out = json::parse(trace_json(*engine->profile()));
  std::map<std::int64_t, std::vector<Slice>> tracks;
  std::map<std::int64_t, std::string> names;
  for (const json& event : out["traceEvents"]) {
    const auto track = event["tid"].get<std::int64_t>();
    EXPECT_EQ(event["pid"], 1);
    if (event["ph"] == "M") {
      if (event["name"] == "thread_name") names[track] = event["args"]["name"];
      continue;
    }
    ASSERT_EQ(event["ph"], "X");
    const double begin = event["ts"].get<double>();
    tracks[track].push_back(
        {begin, begin + event["dur"].get<double>(), event["cat"], event["name"]});
  }
  EXPECT_EQ(names[1], "engine");
  EXPECT_EQ(names[2], "worker 1");
  EXPECT_EQ(names[3], "stream");
  std::map<std::int64_t, double> top;
  for (const auto& [track, slices] : tracks) top[track] = nested_time(slices, track);

  double steps = 0, commands = 0;
  std::set<std::string> seen;
  for (const Slice& slice : tracks[1]) {
    if (slice.category == "step") steps += slice.end - slice.begin;
    seen.insert(slice.category);
  }
  for (const Slice& slice : tracks[3]) commands += slice.end - slice.begin;
  for (const char* category : {"step", "call", "op"}) EXPECT_TRUE(seen.contains(category));
  EXPECT_NEAR(top[1], steps, 1e-3 * steps);        // everything happens inside a step
  EXPECT_NEAR(top[3], commands, 1e-3 * commands);  // commands run one after the other
  double stream = 0;
  for (std::uint32_t label = 0; label < StreamTimes::kLabels; ++label)
    stream += static_cast<double>(engine->profile()->stream()->ns(label)) * 1e-3;
  EXPECT_NEAR(commands, stream, 1e-3 * stream);
}

TEST(Profile, FilesAreWrittenOrRefusedByName) {
  const auto engine = run({.profile = true, .trace = true});
  const std::string folder = testing::TempDir() + "/profile-";
  const EngineChoice good{.profile_json = folder + "rows.json", .trace = folder + "trace.json"};
  EXPECT_TRUE(report_profile(*engine, good).ok());
  const EngineChoice bad{.trace = "/no/such/folder/trace.json"};
  const Status refused = report_profile(*engine, bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().id, "TENON-A018");
}

}  // namespace
}  // namespace tenon::app
