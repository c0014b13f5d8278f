// What a step does when a plugin fails or answers nonsense: an engine whose plugins are this file.
#include <gtest/gtest.h>

#include <functional>

#include "core/conform/null_backend.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

constexpr std::int32_t kVocabulary = 8, kWidth = 4;
const sdk::Status kFails(TENON_INTERNAL, "fails");

struct FakeBackend : NullBackend {
  std::int32_t token = 1;  // what is sampled
  sdk::Status call(const tenon_hdr* op, const tenon_view* in, uint32_t, const tenon_view*,
                   uint32_t) {
    if (op->type != TENON_OP_SAMPLE) return {};
    const auto& sample = *reinterpret_cast<const tenon_op_sample*>(op);
    for (std::int64_t i = 0; i < in[0].shape[0]; ++i) sample.results[i].token = token;
    return {};
  }
};

struct FakeModel {
  TensorPool* pool = nullptr;
  bool fails = false;
  std::int64_t head_rows = -1;  // -1: as many as were given; 0: no tensor
  sdk::Status load() { return {}; }
  sdk::Status embed(tenon_tensor* ids, tenon_tensor** out) {
    return make(ids->shape[0], kWidth, out);
  }
  sdk::Status layer(std::int32_t, tenon_tensor* x, tenon_tensor** out) {
    return fails ? kFails : make(x->shape[0], kWidth, out);
  }
  sdk::Status head(tenon_tensor* x, tenon_tensor** out) {
    return head_rows == 0 ? sdk::Status()
                          : make(head_rows < 0 ? x->shape[0] : head_rows, kVocabulary, out);
  }
  sdk::Status make(std::int64_t rows, std::int64_t values, tenon_tensor** out) {
    *out = *pool->make({{2, 32, 1}, 2, {rows, values}});
    return {};
  }
};

struct FakeScheduler {
  std::function<void(const tenon_schedule_view&, tenon_plan&)> plan_of;
  // Everything that is known of every request.
  static void everything(const tenon_schedule_view& view, tenon_plan& out) {
    for (std::uint32_t i = 0; i < view.n_running + view.n_waiting; ++i) {
      const tenon_request_view& r =
          i < view.n_running ? view.running[i] : view.waiting[i - view.n_running];
      out.items[out.n_items++] = {r.id, r.computed, r.known};
    }
  }
  sdk::Status plan(const tenon_schedule_view* view, tenon_plan* out) {
    return plan_of(*view, *out), sdk::Status();
  }
};

struct FakeCache {
  bool use_fails = false, commit_fails = false;
  sdk::Status lookup(uint32_t, const tenon_cache_key*, uint32_t n, uint32_t* pages) {
    std::fill_n(pages, n, TENON_NO_PAGE);
    return {};
  }
  sdk::Status use(uint32_t, const uint32_t*, uint32_t) {
    return use_fails ? kFails : sdk::Status();
  }
  sdk::Status commit(uint32_t, const tenon_cache_key*, uint32_t, std::int32_t, std::int32_t*) {
    return commit_fails ? kFails : sdk::Status();
  }
  sdk::Status offer(uint32_t, tenon_page_offer*, uint32_t, uint32_t*) { return {}; }
  void evicted(uint32_t, uint32_t) {}
};

// The tokenizer is a real one.
const LoadedEngine& tokenizer_of() {
  static const auto engine = load_engine({}, TinyModel().save("failure"));
  return **engine;
}

template <class Wrapper, class Table, class T>
Wrapper wrap(T& object, const Table& table) {
  return {&table, reinterpret_cast<tenon_instance*>(&object), nullptr};
}

struct Scripted {
  FakeBackend backend;
  FakeModel model;
  FakeScheduler scheduler{&FakeScheduler::everything};
  FakeCache cache;
  tenon_attention_v1 no_attention{};
  ModelShape shape;
  iface::Backend device = wrap<iface::Backend>(backend, sdk::BackendTable<FakeBackend>::table);
  TensorPool tensors{{&device,
                      [](void* ctx, std::uint64_t bytes) {
                        void* out = nullptr;
                        (void)static_cast<iface::Backend*>(ctx)->allocate(bytes, &out).ok();
                        return out;
                      },
                      [](void* ctx, void* data) { static_cast<iface::Backend*>(ctx)->free(data); },
                      {}}};
  OpDispatch dispatch{&shape, device, &tensors};
  std::optional<Executor> executor;
  std::int32_t window = 0;
  KvMemory kv{{.window = window, .n_pages = 8},
              {device},
              {wrap<iface::Cache>(cache, sdk::CacheTable<FakeCache>::table)}};
  std::optional<Engine> engine;

  explicit Scripted(std::int32_t window = 0) : window(window) {
    shape.decoder.layers = 1;
    shape.decoder.width = kWidth;
    shape.decoder.vocabulary = kVocabulary;
    shape.activation = {2, 32, 1};
    model.pool = &tensors;
    executor.emplace(
        &shape, &dispatch, device, wrap<iface::Model>(model, sdk::ModelTable<FakeModel>::table),
        iface::Attention(&no_attention, nullptr, nullptr), std::vector<tenon_layer_plan>{{0, 0}});
    engine.emplace(
        EngineParts{kVocabulary,
                    &tokenizer_of().tokenizer(),
                    wrap<iface::Scheduler>(scheduler, sdk::SchedulerTable<FakeScheduler>::table),
                    [this](std::span<const BatchItem> items) { return executor->run(items); },
                    {&kv},
                    256,
                    {}});
  }

  std::uint64_t submit(std::size_t prompt, std::int32_t max_tokens, Answer& answer) {
    RequestSpec spec;
    spec.prompt.assign(prompt, 2);
    spec.max_tokens = max_tokens;
    spec.on_event = [&answer](const TokenEvent& event) {
      if (event.token >= 0) answer.tokens.push_back(event.token);
      answer.finish = event.finish;
    };
    return *engine->submit(std::move(spec));
  }
  std::string step() {
    const auto more = engine->step();
    return more.ok() ? "" : more.error().id;
  }
  // Everything has gone where it belongs.
  void expect_empty() {
    EXPECT_EQ(engine->live(), 0u);
    EXPECT_EQ(kv.pool().free(), kv.pool().size());
    EXPECT_EQ(tensors.live(), 0u);
  }
};

TEST(Failure, AFailedModelLeavesTheRequestAndTheNextStepGoesOn) {
  Scripted s;
  Answer answer;
  s.submit(70, 3, answer);
  s.model.fails = true;
  EXPECT_EQ(s.step(), "TENON-P900");
  EXPECT_EQ(s.step(), "TENON-P900");
  s.model.fails = false;
  EXPECT_TRUE(s.engine->run().ok());
  EXPECT_EQ(answer.tokens.size(), 3u);
  s.expect_empty();
}

TEST(Failure, ATokenOutsideTheVocabularyIsRefused) {
  for (const std::int32_t token : {-1, kVocabulary}) {
    Scripted s;
    Answer answer;
    const std::uint64_t id = s.submit(5, 3, answer);
    s.backend.token = token;
    EXPECT_EQ(s.step(), "TENON-R042");
    EXPECT_TRUE(answer.tokens.empty());
    s.engine->abort(id);
    EXPECT_EQ(s.step(), "");
    EXPECT_EQ(answer.finish, FinishReason::kAborted);
    s.expect_empty();
  }
}

TEST(Failure, LogitsOfOtherRowsAreRefused) {
  for (const std::int64_t rows : {0, 3}) {
    Scripted s;
    Answer answer;
    s.submit(5, 3, answer);
    s.model.head_rows = rows;
    EXPECT_EQ(s.step(), "TENON-R025");
    EXPECT_EQ(s.tensors.live(), 0u);
  }
}

TEST(Failure, ASchedulerCannotChangeItsRoom) {
  Scripted s;
  Answer answer;
  s.submit(5, 3, answer);
  s.scheduler.plan_of = [](const tenon_schedule_view&, tenon_plan& out) {
    out.items = nullptr;
    out.n_items = out.max_items = 1000;
  };
  EXPECT_EQ(s.step(), "TENON-R040");
  s.scheduler.plan_of = [](const tenon_schedule_view& view, tenon_plan& out) {
    FakeScheduler::everything(view, out);
    out.preempt = nullptr;
    out.n_preempt = out.max_preempt = 1000;
  };
  EXPECT_EQ(s.step(), "TENON-R040");
}

TEST(Failure, APreemptedRequestOutlivesACacheThatFails) {
  Scripted s;
  Answer first, second;
  s.submit(5, 3, first);
  s.submit(5, 3, second);
  EXPECT_EQ(s.step(), "");
  s.scheduler.plan_of = [](const tenon_schedule_view& view, tenon_plan& out) {
    const tenon_request_view& r = view.running[0];
    out.items[out.n_items++] = {r.id, r.computed, r.known};
    out.preempt[out.n_preempt++] = view.running[1].id;
  };
  s.cache.use_fails = true;
  EXPECT_EQ(s.step(), "TENON-P900");
  EXPECT_EQ(s.engine->live(), 2u);
  s.cache.use_fails = false;
  s.scheduler.plan_of = &FakeScheduler::everything;
  EXPECT_TRUE(s.engine->run().ok());
  EXPECT_EQ(first.tokens.size(), 3u);
  EXPECT_EQ(second.tokens.size(), 3u);
  s.expect_empty();
}

TEST(Failure, ACacheThatFailsAtTheEndLosesNoPageAndNoEvent) {
  Scripted s;
  Answer first, second;
  const std::uint64_t ids[] = {s.submit(5, 3, first), s.submit(5, 3, second)};
  EXPECT_EQ(s.step(), "");
  s.cache.use_fails = true;
  for (const std::uint64_t id : ids) s.engine->abort(id);
  EXPECT_EQ(s.step(), "TENON-P900");
  EXPECT_EQ(first.finish, FinishReason::kAborted);
  EXPECT_EQ(second.finish, FinishReason::kAborted);
  s.expect_empty();
}

TEST(Failure, ACacheThatRefusesAPageCostsNoToken) {
  Scripted s;
  Answer answer;
  s.submit(64, 3, answer);
  s.cache.commit_fails = true;
  EXPECT_EQ(s.step(), "TENON-P900");
  EXPECT_EQ(answer.tokens.size(), 1u);
  s.cache.commit_fails = false;
  EXPECT_TRUE(s.engine->run().ok());
  EXPECT_EQ(answer.tokens.size(), 3u);
  s.expect_empty();
}

// Pages that left the window while a cache refused them are offered no more.
TEST(Failure, ACacheThatRefusesAPageBehindAWindowCostsNothing) {
  Scripted s(64);
  Answer answer;
  s.submit(200, 3, answer);
  s.cache.commit_fails = true;
  EXPECT_EQ(s.step(), "TENON-P900");
  s.cache.commit_fails = false;
  EXPECT_TRUE(s.engine->run().ok());
  EXPECT_EQ(answer.tokens.size(), 3u);
  s.expect_empty();
}

TEST(Failure, ALastEventMaySubmit) {
  Scripted s;
  Answer more[40];
  RequestSpec spec;
  spec.prompt = {1, 2, 3};
  spec.on_event = [&](const TokenEvent& event) {
    if (event.finish != FinishReason::kAborted) return;
    for (Answer& answer : more) s.submit(5, 1, answer);
  };
  const std::uint64_t id = *s.engine->submit(spec);
  s.engine->abort(id);
  s.scheduler.plan_of = [](const tenon_schedule_view& view, tenon_plan& out) {
    const tenon_request_view& r = view.n_running > 0 ? view.running[0] : view.waiting[0];
    out.items[out.n_items++] = {r.id, r.computed, r.known};
  };
  EXPECT_TRUE(s.engine->run().ok());
  for (const Answer& answer : more) EXPECT_EQ(answer.tokens.size(), 1u);
  s.expect_empty();
}

}  // namespace
}  // namespace tenon
