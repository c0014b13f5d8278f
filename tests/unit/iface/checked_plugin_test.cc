// Each way in which a call from the core to a plugin can break the rules of its table.
#include <functional>
#include <vector>

#include "tests/unit/iface/checked.h"

namespace tenon::iface {
namespace {

using sdk::Status;

struct FakeScheduler {
  std::function<Status(const tenon_schedule_view*, tenon_plan*)> body;
  Status plan(const tenon_schedule_view* view, tenon_plan* out) { return body(view, out); }
};

struct FakeAttention {
  std::function<Status(std::uint32_t*)> planned = [](std::uint32_t* n_specs) {
    *n_specs = 1;
    return Status();
  };
  std::function<Status(const tenon_attention_batch*, tenon_read_set*)> selected;
  Status plan_layers(const tenon_attention_geometry*, tenon_layer_plan* layers,
                     tenon_cache_spec* specs, std::uint32_t* n_specs) {
    layers[0] = {0, 0};
    specs[0] = {{sizeof(tenon_cache_spec), 0, nullptr}, 1, 1, 8, 0};
    return planned(n_specs);
  }
  Status select(const tenon_attention_batch* batch, std::int32_t, tenon_read_set* out) {
    return selected(batch, out);
  }
};

struct FakeCache {
  std::function<void(std::uint32_t*)> looked_up = [](std::uint32_t* pages) { *pages = 1; };
  std::uint32_t offered = 1;
  bool answers = true;
  Status lookup(std::uint32_t, const tenon_cache_key*, std::uint32_t, std::uint32_t* pages) {
    looked_up(pages);
    return {};
  }
  Status use(std::uint32_t, const std::uint32_t*, std::uint32_t) { return {}; }
  Status commit(std::uint32_t, const tenon_cache_key*, std::uint32_t, std::int32_t,
                std::int32_t* accepted) {
    if (answers) *accepted = 0;
    return {};
  }
  Status offer(std::uint32_t, tenon_page_offer* out, std::uint32_t, std::uint32_t* n) {
    out[0] = {1, 0, 1.0};
    *n = offered;
    return {};
  }
  void evicted(std::uint32_t, std::uint32_t) {}
};

// A view with one waiting request, and room for one item.
struct Plan {
  tenon_request_pages pages{0, 0};
  tenon_request_view request{1, 1, 10, 0, 10, 20, 0, 0, &pages};
  tenon_pool_view pool{8, 0, 8, 0};
  tenon_schedule_view view{{sizeof view, 0, nullptr}, &request, 1, 0, nullptr, &pool, 1, 64};
  tenon_plan_item items[2]{};
  tenon_plan plan{{sizeof plan, 0, nullptr}, items, 0, 1, nullptr, 0, 0};
};

struct Schedules : ::testing::Test, Plan, Checked {
  FakeScheduler plugin;
  Scheduler scheduler = wrap<Scheduler>(&sdk::SchedulerTable<FakeScheduler>::table, plugin);
  tenon::Status run(std::function<Status(const tenon_schedule_view*, tenon_plan*)> body) {
    plugin.body = std::move(body);
    return scheduler.plan(&view, &plan);
  }
};

TEST_F(Schedules, AGoodPlanComesBackInTheCallersRoom) {
  const auto status = run([](const tenon_schedule_view* given, tenon_plan* out) {
    out->items[0] = {given->waiting[0].id, 0, given->waiting[0].known};
    out->n_items = 1;
    return Status();
  });
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(plan.items, items);
  EXPECT_EQ(plan.n_items, 1u);
  EXPECT_EQ(items[0].end, 10);
}

TEST_F(Schedules, AKeptBorrowReadsPoison) {
  const tenon_schedule_view* kept = nullptr;
  const tenon_request_view* request_kept = nullptr;
  ASSERT_TRUE(run([&](const tenon_schedule_view* given, tenon_plan*) {
                kept = given;
                request_kept = given->waiting;
                return Status();
              }).ok());
  EXPECT_EQ(kept->n_waiting, 0xdbdbdbdbu);
  EXPECT_EQ(request_kept->known, static_cast<std::int32_t>(0xdbdbdbdb));
  EXPECT_EQ(view.n_waiting, 1u);
}

TEST_F(Schedules, MoreEntriesThanRoom) {
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan* out) {
                  out->n_items = 2;
                  return Status();
                }),
                "TENON-P085", "plugin", "scheduler.plan", "out.n_items = 2");
}

TEST_F(Schedules, WritingBeyondTheRoom) {
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan* out) {
                  out->items[0] = out->items[1] = {1, 0, 10};
                  out->n_items = 1;
                  return Status();
                }),
                "TENON-P089", "plugin", "scheduler.plan", "items");
  EXPECT_EQ(items[1].end, 0);
}

TEST_F(Schedules, AnotherPointerThanTheCallers) {
  static tenon_plan_item own[1] = {{1, 0, 10}};
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan* out) {
                  out->items = own;
                  out->n_items = 1;
                  return Status();
                }),
                "TENON-P089", "plugin", "scheduler.plan", "out.items");
}

TEST_F(Schedules, AnItemThatIsCountedAndNotWritten) {
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan* out) {
                  out->n_items = 1;
                  return Status();
                }),
                "TENON-P088", "plugin", "scheduler.plan", "items");
}

TEST_F(Schedules, FailingWithoutAMessage) {
  expect_misuse(
      run([](const tenon_schedule_view*, tenon_plan*) { return Status(TENON_INTERNAL, ""); }),
      "TENON-P087", "plugin", "scheduler.plan", "status 13");
}

TEST_F(Schedules, AStatusThatDoesNotExist) {
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan*) { return Status(99, "what"); }),
                "TENON-P086", "plugin", "scheduler.plan", "99");
}

TEST_F(Schedules, AnOrdinaryFailureStaysWhatItIs) {
  const auto status =
      run([](const tenon_schedule_view*, tenon_plan*) { return sdk::invalid_argument("no"); });
  EXPECT_EQ(id_of(status), "TENON-P900");
  EXPECT_EQ(status.error().message, "no");
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
}

TEST_F(Schedules, ACallInsideACallOfTheSameInstance) {
  int inside = 0;
  EXPECT_TRUE(run([&](const tenon_schedule_view*, tenon_plan*) {
                ++inside;
                Plan other;
                expect_misuse(scheduler.plan(&other.view, &other.plan), "TENON-P081", "host",
                              "scheduler.plan");
                return Status();
              }).ok());
  EXPECT_EQ(inside, 1);
}

TEST_F(Schedules, ACallOfTheWrongPhase) {
  boundary.loaded();
  boundary.begin_step();
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan*) { return Status(); }), "TENON-P080",
                "host", "scheduler.plan", "inside a step");
  EXPECT_TRUE(boundary.end_step().ok());
}

TEST_F(Schedules, NullAndSizesOfWhatTheCorePasses) {
  const auto nothing = [](const tenon_schedule_view*, tenon_plan*) { return Status(); };
  plugin.body = nothing;
  expect_misuse(scheduler.plan(nullptr, &plan), "TENON-P084", "host", "scheduler.plan", "view");
  expect_misuse(scheduler.plan(&view, nullptr), "TENON-P084", "host", "scheduler.plan", "out");
  view.hdr.size = 8;
  expect_misuse(run(nothing), "TENON-P083", "host", "scheduler.plan", "view.hdr.size = 8");
  view.hdr.size = sizeof view;
  view.waiting = nullptr;
  expect_misuse(run(nothing), "TENON-P084", "host", "scheduler.plan", "view.waiting");
  view.waiting = &request;
  request.pages = nullptr;
  expect_misuse(run(nothing), "TENON-P084", "host", "scheduler.plan", "view.waiting.pages");
}

TEST_F(Schedules, ACallAfterDestroy) {
  party->destroyed = true;
  expect_misuse(run([](const tenon_schedule_view*, tenon_plan*) { return Status(); }), "TENON-P082",
                "host", "scheduler.plan", "destroyed");
}

struct Selects : ::testing::Test, Checked {
  FakeAttention plugin;
  Attention attention = wrap<Attention>(&sdk::AttentionTable<FakeAttention>::table, plugin);
  tenon_attention_layer layer{1e4, 0, -1, -1, 0};
  tenon_attention_geometry geometry{
      {sizeof geometry, 0, nullptr}, 1, 1, 1, 8, 0, 8, 1, 1e-5, &layer};
  tenon_layer_plan layers[1]{};
  tenon_cache_spec specs[8]{};
  std::uint32_t n_specs = 0;
  std::uint32_t page = 3;
  tenon_sequence_rows rows{0, 1, 0, 1, &page, 0, 0};
  tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 1};
  tenon_read_set answer{{sizeof answer, 0, nullptr}, nullptr, 0, 0};

  tenon::Status plan() { return attention.plan_layers(&geometry, layers, specs, &n_specs); }
  tenon::Status select() { return attention.select(&batch, 0, &answer); }
  void begin_step() {
    const tenon::Status planned = plan();
    ASSERT_TRUE(planned.ok()) << planned.error().to_string();
    EXPECT_EQ(specs[0].head_dim, 8);
    boundary.loaded();
    boundary.begin_step();
  }
};

TEST_F(Selects, CallsComeInTheInterfacesOrder) {
  boundary.begin_step();
  expect_misuse(select(), "TENON-P082", "host", "attention.select");
  ASSERT_TRUE(boundary.end_step().ok());
  begin_step();
  plugin.selected = [](const tenon_attention_batch*, tenon_read_set*) { return Status(); };
  EXPECT_TRUE(select().ok());
  EXPECT_EQ(id_of(plan()), "TENON-P080");  // a load call inside a step
  ASSERT_TRUE(boundary.end_step().ok());
  EXPECT_EQ(id_of(plan()), "TENON-P080");  // and after loading
  EXPECT_EQ(id_of(select()), "TENON-P080");
}

TEST_F(Selects, MoreSpecsThanThereIsRoomFor) {
  plugin.planned = [](std::uint32_t* n) {
    *n = 9;
    return Status();
  };
  expect_misuse(plan(), "TENON-P085", "plugin", "attention.plan_layers", "n_specs = 9");
  plugin.planned = [](std::uint32_t*) { return Status(); };
  expect_misuse(plan(), "TENON-P088", "plugin", "attention.plan_layers", "n_specs");
}

TEST_F(Selects, AValueThatDoesNotExist) {
  geometry.rope_style = 7;
  expect_misuse(plan(), "TENON-P086", "host", "attention.plan_layers", "geometry.rope_style = 7");
}

TEST_F(Selects, WhatIsLentForTheStepIsPoisonedAfterIt) {
  begin_step();
  const tenon_attention_batch* kept = nullptr;
  const std::uint32_t* pages_kept = nullptr;
  plugin.selected = [&](const tenon_attention_batch* given, tenon_read_set*) {
    kept = given;
    pages_kept = given->sequences[0].pages;
    return Status();
  };
  ASSERT_TRUE(select().ok());
  EXPECT_EQ(kept->n_rows, 1);
  EXPECT_EQ(*pages_kept, 3u);
  ASSERT_TRUE(boundary.end_step().ok());
  EXPECT_EQ(kept->n_rows, static_cast<std::int32_t>(0xdbdbdbdb));
  EXPECT_EQ(*pages_kept, 0xdbdbdbdbu);
}

TEST_F(Selects, AnAnswerThatChangesBeforeTheStepHasEnded) {
  begin_step();
  std::vector<tenon_read_pages> mine = {{&page, nullptr, 1, 0}};
  plugin.selected = [&](const tenon_attention_batch*, tenon_read_set* out) {
    *out = {{sizeof *out, 0, nullptr}, mine.data(), 1, 0};
    return Status();
  };
  ASSERT_TRUE(select().ok());
  ASSERT_TRUE(boundary.end_step().ok());
  boundary.begin_step();
  ASSERT_TRUE(select().ok());
  mine[0].n_pages = 0;
  expect_misuse(boundary.end_step(), "TENON-P090", "plugin", "attention.select", "out.sequences");
}

TEST_F(Selects, AnAnswerWithoutSizeOrPointer) {
  begin_step();
  plugin.selected = [](const tenon_attention_batch*, tenon_read_set* out) {
    *out = {};
    return Status();
  };
  expect_misuse(select(), "TENON-P083", "plugin", "attention.select", "out.hdr.size = 0");
  plugin.selected = [](const tenon_attention_batch*, tenon_read_set* out) {
    out->n_sequences = 1;
    return Status();
  };
  expect_misuse(select(), "TENON-P084", "plugin", "attention.select", "out.sequences");
}

struct Caches : ::testing::Test, Checked {
  FakeCache plugin;
  Cache cache = wrap<Cache>(&sdk::CacheTable<FakeCache>::table, plugin);
  tenon_cache_key key{1, 2};
};

TEST_F(Caches, AnAnswerLeftUnset) {
  std::int32_t accepted = 0;
  std::uint32_t page = 0;
  EXPECT_TRUE(cache.lookup(0, &key, 1, &page).ok());
  EXPECT_EQ(page, 1u);
  plugin.looked_up = [](std::uint32_t*) {};
  expect_misuse(cache.lookup(0, &key, 1, &page), "TENON-P088", "plugin", "cache.lookup", "pages");
  plugin.answers = false;
  expect_misuse(cache.commit(0, &key, 1, 0, &accepted), "TENON-P088", "plugin", "cache.commit",
                "accepted");
}

TEST_F(Caches, AnOfferBeyondItsRoom) {
  tenon_page_offer room[2]{};
  std::uint32_t n = 0;
  ASSERT_TRUE(cache.offer(0, room, 2, &n).ok());
  EXPECT_EQ(n, 1u);
  EXPECT_EQ(room[0].page, 1u);
  plugin.offered = 3;
  expect_misuse(cache.offer(0, room, 2, &n), "TENON-P085", "plugin", "cache.offer", "n = 3");
}

TEST_F(Caches, AVoidCallsMisuseFailsTheNextCall) {
  boundary.loaded();
  boundary.begin_step();
  cache.evicted(0, 1);
  expect_misuse(boundary.end_step(), "TENON-P080", "host", "cache.evicted");
  boundary.begin_step();
  cache.evicted(0, 1);
  const std::uint32_t page = 1;
  expect_misuse(cache.use(0, &page, 1), "TENON-P080", "host", "cache.evicted");
  ASSERT_TRUE(boundary.end_step().ok());
  EXPECT_TRUE(cache.use(0, &page, 1).ok());
}

TEST_F(Caches, AnImpossibleCount) {
  boundary.loaded();
  const std::uint32_t* none = nullptr;
  expect_misuse(cache.use(0, none, 1), "TENON-P084", "host", "cache.use", "pages");
  EXPECT_TRUE(cache.use(0, none, 0).ok());
}

}  // namespace
}  // namespace tenon::iface
