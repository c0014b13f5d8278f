// Each way in which a plugin can misuse what the core lends it: it is named, and nothing crashes.
#include <functional>
#include <thread>
#include <vector>

#include "tests/unit/iface/checked.h"

namespace tenon::iface {
namespace {

using sdk::Status;

struct FakeModel {
  std::function<Status()> loaded = [] { return Status(); };
  std::function<Status(tenon_tensor*, tenon_tensor**)> body;
  Status load() { return loaded(); }
  Status embed(tenon_tensor* ids, tenon_tensor** out) { return body(ids, out); }
  Status layer(std::int32_t, tenon_tensor* x, tenon_tensor** out) { return body(x, out); }
  Status head(tenon_tensor* x, tenon_tensor** out) { return body(x, out); }
};

struct Threads {
  int submitted = 0;
  void submit(tenon_stripe_fn, const void*, std::uint64_t, std::uint32_t) { ++submitted; }
  void wait() {}
  std::uint32_t count() { return 2; }
  std::uint32_t stripes_per_thread() { return 1; }
};

tenon_tensor* handle(int i) {
  static char memory[8];
  return reinterpret_cast<tenon_tensor*>(memory + i);
}

// Handles 0 to 3; each call gives the next one.
struct Ops {
  int next = 0, released = 0;
  std::uint32_t seen_op = 0;
  const tenon_hdr* kept = nullptr;
  tenon::Status call(const tenon_hdr* op, tenon_tensor* const*, std::uint32_t, tenon_tensor** out,
                     std::uint32_t n_out) {
    kept = op;
    seen_op = op->type;
    for (std::uint32_t i = 0; i < n_out; ++i) out[i] = handle(next++);
    return {};
  }
  tenon::Status attention(std::int32_t, tenon_tensor*, tenon_tensor*, tenon_tensor*,
                          tenon_tensor**) {
    return {};  // a defect of the core
  }
  void port(std::uint32_t, tenon_tensor*) {}
  void release(tenon_tensor*) { ++released; }
};

struct Services : ::testing::Test, Checked {
  Threads threads;
  Ops ops;
  tenon_threads_v1 threads_table = make_threads_table(&threads);
  tenon_ops_v1 ops_table = make_ops_table(&ops);
  FakeModel plugin;
  Model model = wrap<Model>(&sdk::ModelTable<FakeModel>::table, plugin);
  sdk::ThreadsService its_threads{check_service(party, &threads_table)};
  sdk::OpsService its_ops{check_service(party, &ops_table)};
  std::vector<bool> live = {true, true, true, true};
  tenon_op_add add{{sizeof add, TENON_OP_ADD, nullptr}, -1, 0, 0};

  void SetUp() override {
    lookup = [this](const tenon_tensor* tensor) {
      for (int i = 0; i < 4; ++i)
        if (tensor == handle(i))
          return live[static_cast<std::size_t>(i)] ? TensorState::kLive : TensorState::kReleased;
      return TensorState::kUnknown;
    };
    ASSERT_TRUE(model.load().ok());
    boundary.loaded();
  }
  // The plugin's body, inside a step; handle 3 is lent to it.
  tenon::Status run(std::function<Status(tenon_tensor*, tenon_tensor**)> body) {
    plugin.body = std::move(body);
    boundary.begin_step();
    tenon_tensor* out = nullptr;
    tenon::Status status = model.embed(handle(3), &out);
    tenon::Status ended = boundary.end_step();
    return status.ok() ? std::move(ended) : std::move(status);
  }
  // As run(), of a plugin that then succeeds.
  tenon::Status with(std::function<void(tenon_tensor*)> body) {
    return run([&](tenon_tensor* ids, tenon_tensor** out) {
      body(ids);
      tenon_tensor* in[] = {ids, ids};
      return its_ops.call(&add.hdr, in, 2, out, 1);
    });
  }
};

constexpr auto kStripe = [](const void*, std::uint32_t, std::uint32_t, std::uint32_t) {};

TEST_F(Services, GoodCallsPass) {
  const tenon::Status status = with([this](tenon_tensor*) {
    const int args = 1;
    its_threads.submit(kStripe, &args, sizeof args, its_threads.count());
    its_threads.wait();
  });
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(threads.submitted, 1);
  EXPECT_EQ(ops.seen_op, TENON_OP_ADD);
}

TEST_F(Services, TooManyArgumentsForACommand) {
  const std::vector<char> args(385);
  expect_misuse(
      with([&](tenon_tensor*) { its_threads.submit(kStripe, args.data(), args.size(), 1); }),
      "TENON-P086", "plugin", "threads.submit", "arg_bytes = 385");
  EXPECT_EQ(threads.submitted, 0);
}

TEST_F(Services, NoStripesAndNoFunction) {
  expect_misuse(with([&](tenon_tensor*) { its_threads.submit(kStripe, nullptr, 0, 0); }),
                "TENON-P086", "plugin", "threads.submit", "stripes = 0");
  expect_misuse(with([&](tenon_tensor*) { its_threads.submit(kStripe, nullptr, 0, 65536); }),
                "TENON-P086", "plugin", "threads.submit", "stripes = 65536");
  expect_misuse(with([&](tenon_tensor*) { its_threads.submit(nullptr, nullptr, 0, 1); }),
                "TENON-P084", "plugin", "threads.submit", "function");
  expect_misuse(with([&](tenon_tensor*) { its_threads.submit(kStripe, nullptr, 8, 1); }),
                "TENON-P084", "plugin", "threads.submit", "args");
  EXPECT_EQ(threads.submitted, 0);
}

TEST_F(Services, ATensorReleasedTwice) {
  expect_misuse(with([this](tenon_tensor* ids) {
                  tenon_tensor* in[] = {ids, ids};
                  tenon_tensor* out = nullptr;
                  EXPECT_TRUE(its_ops.call(&add.hdr, in, 2, &out, 1).ok());
                  its_ops.release(out);
                  its_ops.release(out);
                }),
                "TENON-P092", "plugin", "ops.release");
  EXPECT_EQ(ops.released, 1);
}

TEST_F(Services, ATensorThatIsOnlyLent) {
  expect_misuse(with([this](tenon_tensor* ids) { its_ops.release(ids); }), "TENON-P092", "plugin",
                "ops.release");
  expect_misuse(run([](tenon_tensor* ids, tenon_tensor** out) {
                  *out = ids;
                  return Status();
                }),
                "TENON-P092", "plugin", "model.embed");
}

TEST_F(Services, ATensorThatIsNone) {
  int other = 0;
  auto* wild = reinterpret_cast<tenon_tensor*>(&other);
  const auto use = [this](tenon_tensor* tensor) {
    return run([this, tensor](tenon_tensor* ids, tenon_tensor** out) {
      tenon_tensor* in[] = {tensor, ids};
      return its_ops.call(&add.hdr, in, 2, out, 1);
    });
  };
  expect_misuse(use(wild), "TENON-P091", "plugin", "ops.call", "no handle");
  expect_misuse(use(nullptr), "TENON-P084", "plugin", "ops.call", "in");
  live[1] = false;
  expect_misuse(use(handle(1)), "TENON-P091", "plugin", "ops.call", "released");
  expect_misuse(with([&](tenon_tensor*) { its_ops.release(wild); }), "TENON-P091", "plugin",
                "ops.release");
}

TEST_F(Services, AnOpRecordThatIsNone) {
  tenon_op_add bad = add;
  const auto call = [&] {
    return run([&](tenon_tensor* ids, tenon_tensor** out) {
      tenon_tensor* in[] = {ids, ids};
      return its_ops.call(&bad.hdr, in, 2, out, 1);
    });
  };
  bad.hdr.type = 77;
  expect_misuse(call(), "TENON-P086", "plugin", "ops.call", "op = 77");
  bad.hdr = {8, TENON_OP_ADD, nullptr};
  expect_misuse(call(), "TENON-P083", "plugin", "ops.call", "op.hdr.size = 8");
}

TEST_F(Services, AMisuseThatThePluginSwallowsFailsItsCall) {
  expect_misuse(run([this](tenon_tensor* ids, tenon_tensor** out) {
                  tenon_tensor* bad[] = {nullptr};
                  tenon_tensor* none = nullptr;
                  EXPECT_FALSE(its_ops.call(&add.hdr, bad, 1, &none, 1).ok());
                  tenon_tensor* in[] = {ids, ids};
                  return its_ops.call(&add.hdr, in, 2, out, 1);
                }),
                "TENON-P084", "plugin", "ops.call");
}

TEST_F(Services, ACallFromAThreadOfThePlugins) {
  expect_misuse(with([this](tenon_tensor*) {
                  std::thread([this] { its_threads.submit(kStripe, nullptr, 0, 1); }).join();
                }),
                "TENON-P093", "plugin", "threads.submit");
}

TEST_F(Services, AStepServiceOutsideOfAStep) {
  Checked other;
  FakeModel loading;
  const auto slow = other.wrap<Model>(&sdk::ModelTable<FakeModel>::table, loading);
  const sdk::OpsService early{check_service(other.party, &ops_table)};
  loading.loaded = [&] {
    tenon_tensor* in[] = {handle(0), handle(1)};
    tenon_tensor* out = nullptr;
    return early.call(&add.hdr, in, 2, &out, 1);
  };
  expect_misuse(slow.load(), "TENON-P080", "plugin", "ops.call", "while the engine loads");
}

TEST_F(Services, AnAnswerThatTheCoreLeavesUnsetIsTheCoresFault) {
  expect_misuse(run([this](tenon_tensor* ids, tenon_tensor** out) {
                  return its_ops.attention(0, ids, ids, ids, out);
                }),
                "TENON-P088", "host", "ops.attention");
}

TEST_F(Services, WhatThePluginLentIsPoisonedForTheCoreToo) {
  ASSERT_TRUE(with([](tenon_tensor*) {}).ok());
  EXPECT_EQ(ops.kept->type, 0xdbdbdbdbu);
}

TEST_F(Services, TheHostsOwnCalls) {
  EXPECT_TRUE(host_log_may_pass(party, 3, {"text", 4}));
  EXPECT_FALSE(host_log_may_pass(party, 4, {"text", 4}));
  EXPECT_EQ(boundary.take_misuse()->id, "TENON-P086");
  EXPECT_FALSE(host_log_may_pass(party, 1, {nullptr, 4}));
  EXPECT_EQ(boundary.take_misuse()->id, "TENON-P084");
  expect_misuse(with([this](tenon_tensor*) { EXPECT_FALSE(get_service_may_pass(party, "x")); }),
                "TENON-P080", "plugin", "host.get_service");
}

}  // namespace
}  // namespace tenon::iface
