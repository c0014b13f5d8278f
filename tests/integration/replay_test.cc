#include "apps/tenon/replay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/replay_report.h"
#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "core/trace/generate.h"
#include "tests/fixtures/engines.h"

namespace tenon::app {
namespace {

std::unique_ptr<LoadedEngine> tiny_engine() {
  auto engine =
      load_engine({.scheduler = "tenon.scheduler.sarathi-serve"}, TinyModel().save("replay"));
  if (!engine.ok()) ADD_FAILURE() << engine.error().to_string();
  return engine.ok() ? std::move(*engine) : nullptr;
}

void ignore(const ReplayProgress&) {}

TEST(Replay, TimesEveryTokenOfEveryRequest) {
  const auto engine = tiny_engine();
  const auto rows = generate_trace({.count = 12,
                                    .rate = 2000,
                                    .lengths = Lengths::kUniform,
                                    .prompt_mean = 60,
                                    .answer_mean = 10});
  ASSERT_TRUE(rows.ok());
  ASSERT_TRUE(warm_up(*engine).ok());
  const auto replay = replay_trace(*engine, *rows, 1, 0, ignore);
  ASSERT_TRUE(replay.ok()) << replay.error().to_string();
  ASSERT_EQ(replay->requests.size(), 12u);
  EXPECT_EQ(replay->refused, 0u);
  EXPECT_FALSE(replay->interrupted);
  std::int64_t rows_computed = 0, prompt_tokens = 0, tokens = 0;
  for (const StepTime& step : replay->steps) rows_computed += step.rows;
  for (std::size_t i = 0; i < 12; ++i) {
    const RequestTimes& times = replay->requests[i];
    EXPECT_TRUE(times.finished);
    EXPECT_DOUBLE_EQ(times.arrival, (*rows)[i].arrival);
    EXPECT_EQ(times.prompt_tokens, (*rows)[i].prompt_tokens());
    EXPECT_EQ(times.tokens.size(), static_cast<std::size_t>((*rows)[i].max_tokens));
    EXPECT_TRUE(std::is_sorted(times.tokens.begin(), times.tokens.end()));
    ASSERT_TRUE(times.started.has_value());
    EXPECT_GE(*times.started, times.arrival);
    EXPECT_LE(*times.started, times.tokens.front());
    prompt_tokens += times.prompt_tokens;
    tokens += static_cast<std::int64_t>(times.tokens.size());
  }
  EXPECT_EQ(rows_computed, prompt_tokens + tokens - 12);  // the last token of each is not computed
  EXPECT_EQ(engine->engine().live(), 0u);
}

TEST(Replay, CountsWhatTheEngineRefuses) {
  const auto engine = tiny_engine();
  const std::vector<TraceRow> rows = {{.id = "1", .segments = {{1, 5000}}, .max_tokens = 4},
                                      {.id = "2", .prompt = "hello hello", .max_tokens = 4}};
  const auto replay = replay_trace(*engine, rows, 1, 0, ignore);
  ASSERT_TRUE(replay.ok()) << replay.error().to_string();
  EXPECT_EQ(replay->refused, 1u);
  EXPECT_EQ(replay->first_refusal->id, "TENON-R030");
  EXPECT_FALSE(replay->requests[0].finished);
  EXPECT_TRUE(replay->requests[1].finished);
}

TEST(Replay, ARowRunsWithTheAdapterThatItNames) {
  auto engine = load_engine({.adapters = true}, TinyModel().save("replay"));
  ASSERT_TRUE(engine.ok());
  const TinyAdapter adapter(1, TinyAdapter::llama_modules(), 4);
  ASSERT_TRUE((*engine)->adapters()->load("a0", adapter.save("replay")).ok());
  const std::vector<TraceRow> rows = {
      {.id = "1", .prompt = "hello", .max_tokens = 4, .adapter = "a0"},
      {.id = "2", .prompt = "hello", .max_tokens = 4, .adapter = "a1"},
      {.id = "3", .prompt = "hello", .max_tokens = 4}};
  const auto replay = replay_trace(**engine, rows, 1, 0, ignore);
  ASSERT_TRUE(replay.ok()) << replay.error().to_string();
  EXPECT_EQ(replay->refused, 1u);
  EXPECT_EQ(replay->first_refusal->id, "TENON-D003");
  EXPECT_TRUE(replay->requests[0].finished);
  EXPECT_FALSE(replay->requests[1].finished);
  EXPECT_TRUE(replay->requests[2].finished);
}

TEST(Replay, AnInterruptKeepsWhatWasMeasured) {
  install_interrupt_handlers();
  const auto engine = tiny_engine();
  const auto rows = generate_trace({.count = 50, .rate = 0, .prompt_mean = 30, .answer_mean = 20});
  ASSERT_TRUE(rows.ok());
  const auto replay = replay_trace(*engine, *rows, 1, 0, [](const ReplayProgress& progress) {
    if (progress.ended > 0) std::raise(SIGINT);
  });
  clear_interrupt();
  ASSERT_TRUE(replay.ok()) << replay.error().to_string();
  EXPECT_TRUE(replay->interrupted);
  const ReplayMetrics metrics = metrics_of(replay->requests, {});
  EXPECT_GT(metrics.finished, 0u);
  EXPECT_LT(metrics.finished, 50u);
  EXPECT_EQ(engine->engine().live(), 0u);
}

// A manifest that is a pipe, so that a test knows when an arm is being loaded, and can do something
// at that moment. A load opens it once.
class PipedManifest {
 public:
  PipedManifest(const std::string& path, std::string text, int interrupt_at_load)
      : path_(path), text_(std::move(text)), interrupt_at_(interrupt_at_load) {
    ::mkfifo(path_.c_str(), 0600);
    thread_ = std::thread([this] { serve(); });
  }
  ~PipedManifest() {
    stop_ = true;
    const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);  // wakes the thread
    thread_.join();
    ::close(reader);
  }
  PipedManifest(const PipedManifest&) = delete;
  PipedManifest& operator=(const PipedManifest&) = delete;
  const std::string& path() const { return path_; }

 private:
  void serve() {
    for (;;) {
      const int writer = ::open(path_.c_str(), O_WRONLY);  // until a load opens it
      if (writer < 0 || stop_) {
        ::close(writer);
        return;
      }
      // A pipe of its own for the next load, before this one's reader goes on.
      const std::string next = path_ + ".next";
      ::mkfifo(next.c_str(), 0600);
      ::rename(next.c_str(), path_.c_str());
      if (++loads_ == interrupt_at_) ::kill(::getpid(), SIGINT);
      if (::write(writer, text_.data(), text_.size()) < 0) ADD_FAILURE();
      ::close(writer);
    }
  }
  std::string path_, text_;
  int interrupt_at_;
  int loads_ = 0;  // of the thread
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// In a folder that goes when the process ends.
std::string arm_path(const std::string& name) {
  return adapter_folder("replay-" + name) + "/arm.textproto";
}

std::string write_arm(const std::string& name, const tenon::EngineChoice& choice) {
  const std::string path = arm_path(name);
  std::ofstream(path) << manifest_text(choice);
  return path;
}

struct Outcome {
  int exit_code = 0;
  std::string out, err;
};

// The command as a user gives it, on the tiny model.
Outcome run_replay(ReplayTraceCommand command) {
  command.generate = true;
  command.shape.rate = 0;
  if (command.shape.prompt_mean == 128) command.shape.prompt_mean = 20;
  command.shape.answer_mean = 3;
  command.shape.count = 4;
  command.engine.model = TinyModel().save("replay");
  command.engine.plugin_dirs = {TENON_BINARY_DIR "/plugins"};
  command.engine.one_adapter = false;
  install_interrupt_handlers();
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome{.exit_code = run_command(command)};
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  clear_interrupt();
  return outcome;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ReplayCommand, AnInterruptWhileAnEngineLoadsKeepsTheRoundsBefore) {
  const std::string first = write_arm("interrupt", {});
  // Loads of the second arm: one to check it, one a round.
  for (const auto& [load, rounds] : {std::pair{2, 0u}, {3, 1u}}) {
    PipedManifest second(arm_path("pipe"), manifest_text({}), load);
    const Outcome outcome =
        run_replay({.manifests = {first, second.path()}, .rounds = 3, .json = true});
    EXPECT_EQ(outcome.exit_code, kExitInterrupted) << outcome.err;
    const auto json = nlohmann::json::parse(outcome.out);
    ASSERT_TRUE(json.contains("arms")) << outcome.out;
    EXPECT_EQ(json["interrupted"], true);
    EXPECT_EQ(json["arms"][0]["rounds"].size(), rounds + 1);
    EXPECT_EQ(json["arms"][1]["rounds"].size(), rounds);
    EXPECT_EQ(json["arms"][0]["median"]["finished"], 4);
  }
}

TEST(ReplayCommand, AnInterruptBeforeAnythingWasMeasuredSaysSo) {
  PipedManifest arm(arm_path("pipe"), manifest_text({}), 1);
  const Outcome outcome = run_replay({.manifests = {arm.path()}});
  EXPECT_EQ(outcome.exit_code, kExitInterrupted);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, "TENON-A017")) << outcome.err;
}

// The first arm loads and is refused when its round warms up; the second cannot load. Which error
// comes says what was tried first.
TEST(ReplayCommand, AnArmThatCannotLoadIsFoundBeforeTheFirstIsMeasured) {
  const std::string first = write_arm("two-pages", {.engine = "threads: 2 kv_pages: 2"});
  const std::string second = write_arm("one-page", {.engine = "threads: 2 kv_pages: 1"});
  const Outcome alone = run_replay({.manifests = {first}});
  ASSERT_TRUE(has(alone.err, "TENON-R031")) << alone.err;
  const Outcome outcome = run_replay({.manifests = {first, second}});
  EXPECT_EQ(outcome.exit_code, kExitError);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, "TENON-R057 " + second)) << outcome.err;
}

TEST(ReplayCommand, WhenEveryRequestIsRefusedThereAreNoTimesAndAnError) {
  const ReplayTraceCommand too_long{.shape = {.prompt_mean = 100'000}};
  const Outcome table = run_replay(too_long);
  EXPECT_EQ(table.exit_code, kExitError);
  EXPECT_TRUE(has(table.err, "error: TENON-R030")) << table.err;
  EXPECT_FALSE(has(table.out, "0.0000")) << table.out;
  EXPECT_TRUE(has(table.out, "TTFT             -         -")) << table.out;
  ReplayTraceCommand command = too_long;
  command.json = true;
  const Outcome object = run_replay(command);
  EXPECT_EQ(object.exit_code, kExitError);
  const auto arm = nlohmann::json::parse(object.out)["arms"][0];
  EXPECT_TRUE(arm["median"]["ttft_s.p50"].is_null());
  EXPECT_TRUE(arm["rounds"][0]["ttft_s.p50"].is_null());
  EXPECT_EQ(arm["median"]["refused"], 4);
}

TEST(ReplayCommand, SomeRefusalsAreAWarningAndSayWhichOptionsHelp) {
  const TinyAdapter adapter(1, TinyAdapter::llama_modules(), 4);
  const std::string hint = "load it with --adapter NAME=FOLDER, or use --ignore-adapters";
  ReplayTraceCommand command{.shape = {.adapters = 2, .zipf = 0}};
  const Outcome none = run_replay(command);
  EXPECT_EQ(none.exit_code, kExitError);
  EXPECT_TRUE(has(none.out, hint)) << none.out;
  EXPECT_TRUE(has(none.err, "TENON-D004")) << none.err;
  command.engine.adapters = {"a0=" + adapter.save("replay-some")};
  const Outcome some = run_replay(command);
  EXPECT_EQ(some.exit_code, kExitOk) << some.err;
  EXPECT_TRUE(has(some.out, hint)) << some.out;
  EXPECT_TRUE(has(some.err, " of 4 requests were refused")) << some.err;
  EXPECT_TRUE(has(some.err, "TENON-D003")) << some.err;
  command.engine.adapters.clear();
  command.ignore_adapters = true;
  EXPECT_EQ(run_replay(command).exit_code, kExitOk);
}

// One request that took `seconds` from arrival to its first token, of two tokens.
Replay measured(double seconds, bool interrupted = false) {
  Replay out{.steps = {{.seconds = seconds, .rows = 5, .tokens = 1}}, .interrupted = interrupted};
  out.requests.push_back({.arrival = 0,
                          .started = 0,
                          .tokens = {seconds, seconds + 1},
                          .prompt_tokens = 5,
                          .finished = !interrupted});
  return out;
}

TEST(ReplayReport, AnInterruptedRoundIsListedButInNoMedian) {
  ReplayReport report{.requests = 7, .interrupted = true};
  ReplayArm& arm = report.arms.emplace_back();
  add_round(measured(2), 7, {}, arm);
  add_round(measured(4), 7, {}, arm);
  add_round(measured(100, true), 7, {}, arm);
  const auto json = nlohmann::json::parse(replay_json(report));
  EXPECT_EQ(json["interrupted"], true);
  const auto& out = json["arms"][0];
  EXPECT_EQ(out["rounds"].size(), 2u);
  EXPECT_EQ(out["median"]["ttft_s.p50"], 3);
  EXPECT_EQ(out["most"]["ttft_s.p50"], 4);
  EXPECT_EQ(out["steps_by_rows"][0]["steps"], 2);
  EXPECT_EQ(out["partial_round"]["round"], 3);
  EXPECT_EQ(out["partial_round"]["ttft_s.p50"], 100);
  const std::string table = replay_tables(report);
  EXPECT_TRUE(has(table, "interrupted in round 3; its requests are not counted")) << table;
  EXPECT_FALSE(has(table, "100.0000")) << table;
}

TEST(ReplayReport, TheOnlyRoundIsShownEvenWhenInterruptedAndIsMarked) {
  ReplayReport report{.requests = 7, .interrupted = true};
  add_round(measured(100, true), 7, {}, report.arms.emplace_back());
  report.arms.emplace_back();
  const std::string table = replay_tables(report);
  EXPECT_TRUE(has(table, "interrupted in round 1; unfinished")) << table;
  EXPECT_TRUE(has(table, "100.0000")) << table;
  EXPECT_TRUE(has(table, "0 of 7 requests finished")) << table;
  EXPECT_TRUE(has(table, "interrupted before its first round")) << table;
}

TEST(ReplayReport, RangesHaveAHeadingAndGoodputItsBounds) {
  ReplayReport report{.requests = 1, .bounds = {.ttft = 3, .tpot = 1.5}};
  ReplayArm& arm = report.arms.emplace_back();
  add_round(measured(1), 1, report.bounds, arm);
  const std::string one = replay_tables(report);
  EXPECT_FALSE(has(one, "max range") || has(one, " to ")) << one;
  EXPECT_TRUE(has(one, "goodput 0.500/s with TTFT <= 3 s, TPOT <= 1.5 s\n")) << one;
  add_round(measured(4), 1, report.bounds, arm);
  const std::string two = replay_tables(report);
  for (const char* part :
       {"max  max range\n", "  [1.0000 to 4.0000]\n", ": 0.350/s [0.200 to 0.500]\n",
        "goodput 0.250/s [0.000 to 0.500] with", "output 0.70 tokens/s [0.40 to 1.00]"})
    EXPECT_TRUE(has(two, part)) << part << "\n" << two;
}

TEST(ReplayReport, WithoutBoundsThereIsNoGoodput) {
  ReplayReport report{.requests = 1};
  add_round(measured(1), 1, report.bounds, report.arms.emplace_back());
  EXPECT_FALSE(has(replay_tables(report), "goodput"));
  EXPECT_FALSE(has(replay_json(report), "goodput"));
}

Result<Command> parse(std::vector<const char*> words) {
  words.insert(words.begin(), {"tenon", "replay-trace"});
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

TEST(ReplayOptions, NamesAreListedWhenOneIsUnknown) {
  const auto unknown = parse({"--generate", "--lengths", "normal"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().message,
            "--lengths: \"normal\" is not one of fixed, uniform, sharegpt, arxiv");
  EXPECT_FALSE(parse({"--generate", "--lengths", "3"}).ok());
  const auto known = parse({"--generate", "--lengths", "arxiv", "--arrivals", "gamma"});
  ASSERT_TRUE(known.ok()) << known.error().to_string();
  EXPECT_EQ(std::get<ReplayTraceCommand>(*known).shape.lengths, Lengths::kArxiv);
  EXPECT_EQ(std::get<ReplayTraceCommand>(*known).shape.arrivals, Arrivals::kGamma);
}

TEST(ReplayOptions, TheHelpTextHasTheDefaults) {
  const auto help = parse({"--help"});
  ASSERT_TRUE(help.ok());
  const std::string& text = std::get<HelpCommand>(*help).text;
  for (const char* part : {"Requests; default 100\n", "all at once; default 1\n", "default fixed",
                           "(uniform); default 128\n", "the same; default 32\n"})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  EXPECT_FALSE(has(text, "->")) << text;
}

}  // namespace
}  // namespace tenon::app
