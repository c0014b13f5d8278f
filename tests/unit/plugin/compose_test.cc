#include "core/plugin/compose.h"

#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

struct Part {
  std::string role;
  PluginDescriptor descriptor;
};

Error error_of(const std::vector<Part>& parts, const HostOffer& host = host_offer()) {
  std::vector<ComposedPlugin> plugins;
  for (const Part& part : parts) plugins.push_back({part.role, &part.descriptor, "m:" + part.role});
  const Status status = check_composition(plugins, host);
  return status.ok() ? Error{} : status.error();
}

PluginDescriptor attention(const std::string& more) {
  return made(descriptor_text(more, "test.attention", "attention"));
}
PluginDescriptor cache(const std::string& more) {
  return made(descriptor_text(more, "test.cache", "cache"));
}

TEST(Compose, RequiredTokenComesFromAnotherPlugin) {
  EXPECT_EQ(error_of({{"attention", attention("provides: \"kv.restore\"")},
                      {"cache", cache("requires: \"kv.restore\"")}})
                .id,
            "");
  const Error error =
      error_of({{"attention", attention("")}, {"cache", cache("requires: \"kv.restore\"")}});
  EXPECT_EQ(error.id, "TENON-P031");
  EXPECT_EQ(error.where, "m:cache");
  EXPECT_NE(error.message.find("test.cache (cache)"), std::string::npos);
  EXPECT_NE(error.found.find("test.attention (attention)"), std::string::npos);
}

TEST(Compose, OwnTokenDoesNotSatisfyItself) {
  EXPECT_EQ(error_of({{"cache", cache("requires: \"a.b\" provides: \"a.b\"")}}).id, "TENON-P031");
}

TEST(Compose, RequiredTokenMayComeFromTheHost) {
  HostOffer host = host_offer();
  host.provided = {"kv.restore"};
  EXPECT_EQ(error_of({{"cache", cache("requires: \"kv.restore\"")}}, host).id, "");
}

TEST(Compose, ConflictNamesBoth) {
  const Error error = error_of({{"attention", attention("provides: \"prompt.whole\"")},
                                {"cache", cache("conflicts: \"prompt.whole\"")}});
  EXPECT_EQ(error.id, "TENON-P032");
  EXPECT_NE(error.message.find("test.cache"), std::string::npos);
  EXPECT_NE(error.message.find("test.attention"), std::string::npos);
}

TEST(Compose, ATokenOfOneOwnerIsProvidedAndConflictsWithItself) {
  const std::string one = "provides: \"prefill.axis\" conflicts: \"prefill.axis\"";
  EXPECT_EQ(error_of({{"cache", cache(one)}}).id, "");
  EXPECT_EQ(error_of({{"cache", cache(one)}, {"cache", cache(one)}}).id, "TENON-P032");
}

TEST(Compose, KindMustFitTheRole) {
  const Error error = error_of({{"scheduler", cache("")}});
  EXPECT_EQ(error.id, "TENON-P030");
  EXPECT_EQ(error.expected, "kind scheduler");
}

TEST(Compose, HostMustSpeakTheInterfaceAndHaveTheServices) {
  PluginDescriptor future = cache("");
  future.interfaces = {"tenon.cache/9"};
  EXPECT_EQ(error_of({{"cache", future}}).id, "TENON-P033");
  EXPECT_EQ(error_of({{"cache", cache("interfaces: \"tenon.cache/9\"")}}).id, "");
  EXPECT_EQ(error_of({{"cache", cache("services: \"tenon.oracle/1\"")}}).id, "TENON-P034");
}

}  // namespace
}  // namespace tenon
