#include "apps/tenon/replay.h"

#include <gtest/gtest.h>

#include <csignal>

#include "apps/tenon/interrupt.h"
#include "core/trace/generate.h"
#include "tests/fixtures/engines.h"
#include "tests/fixtures/tiny_adapter.h"
#include "tests/fixtures/tiny_model.h"

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

}  // namespace
}  // namespace tenon::app
