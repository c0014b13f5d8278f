#include "core/base/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

namespace tenon {
namespace {

void work(const void* args, std::uint32_t, std::uint32_t, std::uint32_t) {
  const std::int64_t until = clock_ns() + *static_cast<const int*>(args) * 1000;
  while (clock_ns() < until) {
  }
}

struct Profiled : ::testing::Test {
  Profile profile{true};
  StripePool pool{2};
  Profile::Row call = profile.row("org.a", "a.call"), op = profile.row("org.b", "matmul", true);
  int micros = 50;

  void submit() { pool.submit(&work, &micros, sizeof micros, 4); }
  // A call that submits to the stream, with an op inside it.
  void step(bool more) {
    profile.begin_step();
    {
      const ProfileSpan outer(&profile, call);
      submit();
      {
        const ProfileSpan inner(&profile, op);
        profile.count_op(op, 1000);
        profile.count_allocation(64);
        submit();
        const ProfileSpan inside(&profile, call);
        submit();
      }
      pool.wait();
    }
    profile.end_step(more);
  }
  const ProfileRow& row(const std::string& name) {
    rows = profile.rows();
    return *std::find_if(rows.begin(), rows.end(),
                         [&](const ProfileRow& each) { return each.name == name; });
  }
  std::int64_t sum() {
    std::int64_t out = 0;
    for (const ProfileRow& each : profile.rows()) out += each.ns;
    return out;
  }
  std::vector<ProfileRow> rows;
};

TEST_F(Profiled, RowsTogetherAreTheWallTime) {
  profile.watch(&pool);
  for (int i = 0; i < 20; ++i) step(i < 19);
  EXPECT_GT(profile.wall_ns(), 0);
  EXPECT_EQ(sum(), profile.wall_ns());
  EXPECT_EQ(profile.n_steps(), 20u);
  EXPECT_EQ(row("a.call").calls, 40u);
  EXPECT_EQ(row("matmul").calls, 20u);
  EXPECT_EQ(row("matmul").bytes, 20000);
  EXPECT_EQ(row("matmul").allocations, 20u);
  EXPECT_EQ(row("matmul").allocated_bytes, 20u * 64);
}

// A command belongs to the op around it, whatever call submits it: two of three here.
TEST_F(Profiled, TheStreamsTimeBelongsToTheOp) {
  profile.watch(&pool);
  step(false);
  std::size_t of_op = 0, of_call = 0;
  for (const TimeSlice& command : profile.stream()->commands())
    ++(command.label == op ? of_op : of_call);
  EXPECT_EQ(of_op, 2u);
  EXPECT_EQ(of_call, 1u);
  EXPECT_GE(row("matmul").ns, profile.stream()->ns(op));
}

TEST_F(Profiled, NothingCountsOutsideOfAStepOrOnAnotherThread) {
  profile.watch(&pool);
  submit();
  {
    const ProfileSpan span(&profile, call);
    pool.wait();
  }
  profile.begin_step();
  std::thread([this] { const ProfileSpan span(&profile, call); }).join();
  profile.end_step(false);
  EXPECT_EQ(profile.spans().size(), 0u);
  EXPECT_EQ(profile.stream()->commands().size(), 0u);
  EXPECT_EQ(sum(), profile.wall_ns());
  const std::int64_t wall = profile.wall_ns();
  profile.begin_step();  // no request was live: the time between does not count
  profile.end_step(false);
  EXPECT_EQ(profile.steps().size(), 2u);
  EXPECT_EQ(profile.wall_ns() - wall, profile.steps()[1].end - profile.steps()[1].begin);
}

TEST_F(Profiled, ARowIsFoundAgain) {
  EXPECT_EQ(profile.row("org.a", "a.call"), call);
  EXPECT_NE(profile.row("org.b", "a.call"), call);
}

}  // namespace
}  // namespace tenon
