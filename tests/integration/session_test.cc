#include "apps/tenon/session.h"

#include <gtest/gtest.h>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon::app {
namespace {

// A chat goes on after an error; the failed request's callback refers to an answer that has gone.
TEST(Session, AfterAnErrorOfTheEngineNoRequestIsLive) {
  const auto engine = load_engine({}, TinyModel().save_without_finite_logits("session"));
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  RequestSpec spec = (*engine)->default_request();
  spec.prompt = {1, 2, 3};
  Answer answer;
  const auto id = submit_into(**engine, std::move(spec), answer);
  ASSERT_TRUE(id.ok());
  const Status done = run_until_done((*engine)->engine(), {*id});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().id, "TENON-R042");
  EXPECT_EQ((*engine)->engine().live(), 0u);
  EXPECT_EQ(answer.finish, FinishReason::kAborted);
}

TEST(Session, TheHostMayWantTheBoundaryCheckedAndTheEnvironmentKnowsBetter) {
  HostConfig host;
  const EngineChoice quiet, asking{.check_boundary = true};
  ::unsetenv("TENON_CHECK_BOUNDARY");
  EXPECT_EQ(checks_boundary(quiet, host), iface::kChecksUsually);
  host.check_boundary = false;
  EXPECT_FALSE(checks_boundary(quiet, host));
  EXPECT_TRUE(checks_boundary(asking, host));
  host.check_boundary = true;
  EXPECT_TRUE(checks_boundary(quiet, host));
  ::setenv("TENON_CHECK_BOUNDARY", "0", 1);
  EXPECT_FALSE(checks_boundary(quiet, host));
  ::unsetenv("TENON_CHECK_BOUNDARY");
}

}  // namespace
}  // namespace tenon::app
