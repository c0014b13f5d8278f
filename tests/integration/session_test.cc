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

}  // namespace
}  // namespace tenon::app
