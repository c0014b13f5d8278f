#include "core/plugin/params.h"

#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

PluginDescriptor scheduler() {
  return made(descriptor_text(
      "params { key: \"count\" type: INT64 default_int: 64 min_int: 1 max_int: 4096 unit: \"rows\" "
      "}"
      "params { key: \"share\" type: DOUBLE default_double: 0.5 min_double: 0 max_double: 1 }"
      "params { key: \"fair\" type: BOOL default_bool: true }"
      "params { key: \"order\" type: ENUM default_string: \"first\" values: \"first\" values: "
      "\"last\" }"
      "params { key: \"name\" type: STRING required: true }"));
}

Error error_of(std::vector<ManifestParam> given) {
  if (given.empty() || given[0].key != "name") given.push_back({"name", std::string("n"), "m:1:1"});
  const Result<ResolvedParams> result = resolve_params(scheduler(), given, "m:0:0");
  return result.ok() ? Error{} : result.error();
}

TEST(Params, DefaultsFillInDescriptorOrder) {
  Result<ResolvedParams> result = resolve_params(scheduler(), {{"name", std::string("n"), ""}});
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->canonical_text(),
            "count: 64\nshare: 0.5\nfair: true\norder: \"first\"\nname: \"n\"\n");
  const ResolvedParams moved = std::move(result).value();
  ASSERT_EQ(moved.table().size(), 5u);
  const tenon_param& name = moved.table()[4];
  EXPECT_EQ(std::string(name.key.ptr, name.key.len), "name");
  EXPECT_EQ(std::string(name.value.s.ptr, name.value.s.len), "n");
  EXPECT_EQ(moved.table()[3].type, TENON_PARAM_TYPE_STRING);
  EXPECT_EQ(moved.table()[0].value.i, 64);
  EXPECT_EQ(moved.table()[1].value.d, 0.5);
  EXPECT_EQ(moved.table()[2].value.i, 1);
  EXPECT_EQ(std::get<bool>(*moved.find("fair")), true);
  EXPECT_EQ(moved.find("nothing"), nullptr);
}

TEST(Params, AnIntegerWillDoForADouble) {
  const Result<ResolvedParams> result =
      resolve_params(scheduler(), {{"name", std::string("n"), ""}, {"share", std::int64_t{1}, ""}});
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(std::get<double>(*result->find("share")), 1.0);
}

TEST(Params, RefusalsAreNamed) {
  const Error unknown = error_of({{"cuont", std::int64_t{1}, "m:3:5"}});
  EXPECT_EQ(unknown.id, "TENON-P010");
  EXPECT_EQ(unknown.where, "m:3:5");
  EXPECT_EQ(unknown.fix, "did you mean \"count\"?");
  EXPECT_EQ(error_of({{"count", 1.0, ""}}).id, "TENON-P011");
  EXPECT_EQ(error_of({{"count", true, ""}}).id, "TENON-P011");
  EXPECT_EQ(error_of({{"share", std::string("x"), ""}}).id, "TENON-P011");
  EXPECT_EQ(error_of({{"order", std::int64_t{1}, ""}}).id, "TENON-P011");
  const Error range = error_of({{"count", std::int64_t{4097}, ""}});
  EXPECT_EQ(range.id, "TENON-P012");
  EXPECT_EQ(range.expected, "1 .. 4096 rows");
  EXPECT_EQ(error_of({{"count", std::int64_t{0}, ""}}).id, "TENON-P012");
  EXPECT_EQ(error_of({{"share", std::int64_t{2}, ""}}).id, "TENON-P012");
  const Error choice = error_of({{"order", std::string("frist"), ""}});
  EXPECT_EQ(choice.id, "TENON-P013");
  EXPECT_EQ(choice.fix, "did you mean \"first\"?");
  const Result<ResolvedParams> missing = resolve_params(scheduler(), {}, "m:7:1");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().id, "TENON-P014");
  EXPECT_EQ(missing.error().where, "m:7:1");
}

TEST(Params, HashFollowsTheValues) {
  const auto hash = [](std::int64_t count) {
    return resolve_params(scheduler(), {{"name", std::string("n"), ""}, {"count", count, ""}})
        ->hash();
  };
  EXPECT_EQ(hash(7), hash(7));
  EXPECT_NE(hash(7), hash(8));
}

}  // namespace
}  // namespace tenon
