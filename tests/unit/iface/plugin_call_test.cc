#include "core/iface/plugin_call.h"

#include <gtest/gtest.h>

namespace tenon::iface {
namespace {

// What a plugin says of its message's length must not become an exception inside of the plugin.
TEST(PluginCall, AMessageWithAnImpossibleLengthIsCut) {
  const std::string long_text(128 << 10, 'x');
  PluginCall scope(nullptr, "scheduler.plan");
  tenon_call* call = scope.call();
  call->set_error(call, TENON_INTERNAL, long_text.data(), std::uint64_t{1} << 63);
  EXPECT_EQ(scope.finish(TENON_INTERNAL).error().message.size(), std::size_t{64} << 10);
  call->set_error(call, TENON_INTERNAL, nullptr, 7);
  EXPECT_EQ(scope.finish(TENON_INTERNAL).error().message, "the plugin failed without a message");
}

}  // namespace
}  // namespace tenon::iface
