#include "core/manifest/manifest.h"

#include <gtest/gtest.h>

#include <limits>

namespace tenon {
namespace {

const std::string kRoles = R"(
network { plugin: "n.n" }
backend { plugin: "b.b" }
attention { plugin: "a.a" }
scheduler {
  plugin: "s.s"
  param { key: "max" i: 64 }
}
)";
const std::string kGood = "model { name: \"m\" }" + kRoles;

Error error_of(const std::string& text, const std::string& name = "m.textproto") {
  const Result<Manifest> result = parse_manifest(text, name);
  return result.ok() ? Error{} : result.error();
}

TEST(Manifest, GoodTextIsRead) {
  const Result<Manifest> result = parse_manifest(kGood, "m.textproto");
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->model.name, "m");
  EXPECT_EQ(result->scheduler.role, "scheduler");
  ASSERT_EQ(result->scheduler.params.size(), 1u);
  EXPECT_EQ(std::get<std::int64_t>(result->scheduler.params[0].value), 64);
  EXPECT_EQ(result->scheduler.params[0].where, "m.textproto:7:3");
  EXPECT_EQ(result->scheduler.where, "m.textproto:5:1");
  EXPECT_EQ(result->engine.stripes_per_thread, 4);
  EXPECT_FALSE(result->sampling.temperature.has_value());
}

TEST(Manifest, UnknownFieldNamesTheNearest) {
  const Error error = error_of("model { name: \"m\" }\nschedular { plugin: \"x\" }");
  EXPECT_EQ(error.id, "TENON-M004");
  EXPECT_EQ(error.where, "m.textproto:2:1");
  EXPECT_EQ(error.fix, "did you mean \"scheduler\"?");
}

TEST(Manifest, UnknownFieldInsideAMessageNamesTheNearest) {
  const Error error = error_of(kGood + "sampling { temprature: 1 }");
  EXPECT_EQ(error.id, "TENON-M004");
  EXPECT_EQ(error.fix, "did you mean \"temperature\"?");
}

TEST(Manifest, MistakesOfFormAndTypeAreTold) {
  EXPECT_EQ(error_of("model {").id, "TENON-M003");
  EXPECT_EQ(error_of("model { name: 5 }").id, "TENON-M005");
  EXPECT_EQ(error_of(kGood + "engine { threads: \"two\" }").id, "TENON-M005");
  EXPECT_EQ(error_of(kGood + "engine { threads: 9223372036854775808 }").id, "TENON-M005");
  EXPECT_EQ(error_of(kGood + "engine { poison_free_pages: 7 }").id, "TENON-M005");
  EXPECT_EQ(error_of(kGood + kRoles).id, "TENON-M005");
  EXPECT_EQ(error_of("model { name: \"m\" file: \"f\" }" + kRoles).id, "TENON-M007");
}

TEST(Manifest, WhatIsMissingIsNamed) {
  EXPECT_EQ(error_of(kRoles).id, "TENON-M007");
  const Error error = error_of("model { name: \"m\" } network { plugin: \"n.n\" }");
  EXPECT_EQ(error.id, "TENON-M006");
  EXPECT_NE(error.message.find("backend"), std::string::npos);
}

TEST(Manifest, RangesAreCheckedByName) {
  const auto expect = [](const std::string& block, const std::string& field) {
    const Error error = error_of(kGood + block);
    EXPECT_EQ(error.id, "TENON-M008") << block;
    EXPECT_NE(error.message.find(field), std::string::npos) << error.to_string();
    EXPECT_EQ(error.where.substr(0, 14), "m.textproto:9:") << error.where;
  };
  expect("engine { threads: -1 }", "engine.threads");
  expect("engine { stripes_per_thread: 65 }", "engine.stripes_per_thread");
  expect("engine { context: -5 }", "engine.context");
  expect("engine { kv_bytes: -1 }", "engine.kv_bytes");
  expect("engine { kv_pages: 2147483648 }", "engine.kv_pages");
  expect("sampling { temperature: -0.1 }", "sampling.temperature");
  expect("sampling { temperature: nan }", "sampling.temperature");
  expect("sampling { temperature: inf }", "sampling.temperature");
  expect("sampling { top_k: -1 }", "sampling.top_k");
  expect("sampling { top_p: 1.01 }", "sampling.top_p");
  expect("sampling { min_p: 2 }", "sampling.min_p");
  expect("sampling { repetition_penalty: 0 }", "sampling.repetition_penalty");
  expect("sampling { presence_penalty: 3 }", "sampling.presence_penalty");
  expect("sampling { frequency_penalty: -3 }", "sampling.frequency_penalty");
  expect("sampling { max_tokens: 0 }", "sampling.max_tokens");
  expect("engine { cache_salt: \"" + std::string(257, 'x') + "\" }", "engine.cache_salt");
}

TEST(Manifest, PartsOfARoleAreChecked) {
  const std::string cache = "cache { plugin: \"c.c\" ";
  EXPECT_EQ(error_of(kGood + cache + "param { key: \"a\" } }").id, "TENON-M010");
  EXPECT_EQ(error_of(kGood + cache + "param { i: 1 } }").id, "TENON-M010");
  EXPECT_EQ(error_of(kGood + cache + "param { key: \"a\" d: inf } }").id, "TENON-M008");
  EXPECT_EQ(error_of(kGood + cache + "param { key: \"a\" i: 1 } param { key: \"a\" i: 2 } }").id,
            "TENON-M009");
  EXPECT_EQ(error_of(kGood + cache + "version: \"~1\" }").id, "TENON-M012");
  EXPECT_EQ(error_of(kGood + cache + "library { } }").id, "TENON-M013");
  EXPECT_EQ(error_of(kGood + cache + "library { path: \"x.so\" sha256: \"12\" } }").id,
            "TENON-M011");
  EXPECT_EQ(error_of(kGood + "engine { kv_bytes: 1 kv_pages: 1 }").id, "TENON-M014");
}

TEST(Manifest, LargeTextIsRefused) {
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '#')).id, "TENON-M002");
}

TEST(Manifest, MissingFileIsANamedError) {
  EXPECT_EQ(load_manifest("/nonexistent.textproto").error().id, "TENON-M001");
  EXPECT_EQ(load_manifest("/").error().id, "TENON-M001");
}

TEST(Manifest, PathsAreRelativeToTheManifest) {
  Manifest manifest;
  manifest.source = "conf/serve.textproto";
  EXPECT_EQ(manifest_path(manifest, "m/x.gguf"), "conf/m/x.gguf");
  EXPECT_EQ(manifest_path(manifest, "/abs.gguf"), "/abs.gguf");
}

TEST(Manifest, CanonicalTextReadsBackAsItself) {
  const std::string text =
      kGood +
      "cache { plugin: \"c.c\" version: \">=1 <2\" param { key: \"z\" d: 0.1 }"
      " param { key: \"a\" s: \"q\\\"\\n\\\\\\303\\244\" } param { key: \"f\" b: false } }"
      "sampling { seed: 18446744073709551615 top_p: 0.9 }";
  const Result<Manifest> first = parse_manifest(text, "m.textproto");
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  const std::string canonical = canonical_text(*first);
  const Result<Manifest> second = parse_manifest(canonical, "again.textproto");
  ASSERT_TRUE(second.ok()) << second.error().to_string() << canonical;
  EXPECT_EQ(canonical_text(*second), canonical);
  EXPECT_EQ(manifest_hash(*second), manifest_hash(*first));
}

TEST(Manifest, HashKnowsMeaningNotLayout) {
  const auto hash = [](const std::string& text) {
    return manifest_hash(*parse_manifest(text, "m.textproto"));
  };
  EXPECT_EQ(hash(kGood), hash(kGood + "engine { stripes_per_thread: 4 } # the default"));
  EXPECT_NE(hash(kGood), hash(kGood + "engine { stripes_per_thread: 5 }"));
  EXPECT_NE(hash(kGood), hash(kGood + "engine { pin_threads: true }"));
  EXPECT_NE(hash(kGood), hash(kGood + "sampling { seed: 0 }"));
}

const std::string kJsonRoles = R"("network":{"plugin":"n.n"},"backend":{"plugin":"b.b"},
"attention":{"plugin":"a.a"},"scheduler":{"plugin":"s.s","param":[{"key":"max","i":64}]})";
std::string json(const std::string& rest) {
  return "{\"model\":{\"name\":\"m\"},\n" + kJsonRoles + rest + "}";
}

TEST(ManifestJson, MeansTheSameAsText) {
  const Result<Manifest> result = parse_manifest(json(""), "m.json");
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(manifest_hash(*result), manifest_hash(*parse_manifest(kGood, "m.textproto")));
  EXPECT_EQ(result->scheduler.params[0].where, "m.json:scheduler.param[0]");
}

TEST(ManifestJson, Every64BitFieldSurvives) {
  // 2^53 + 1 is the first integer that a double cannot hold; the engine's ranges end below, so
  // those go through params.
  for (const std::string number : {"9007199254740993", "\"9007199254740993\""}) {
    const std::string params =
        ",\"cache\":[{\"plugin\":\"c.c\",\"param\":[{\"key\":\"k\",\"i\":" + number +
        "}]}],\"sampling\":{\"seed\":" + number + "}";
    const Result<Manifest> result = parse_manifest(json(params), "m.json");
    ASSERT_TRUE(result.ok()) << result.error().to_string();
    EXPECT_EQ(std::get<std::int64_t>(result->cache[0].params[0].value), 9007199254740993);
    EXPECT_EQ(result->sampling.seed, 9007199254740993u);
  }
  const Result<Manifest> wide = parse_manifest(
      json(",\"engine\":{\"threads\":1023,\"stripes_per_thread\":63,\"context\":16777215,"
           "\"kv_bytes\":1125899906842623},\"sampling\":{\"seed\":18446744073709551615,"
           "\"top_k\":999999,\"max_tokens\":16777215}"),
      "m.json");
  ASSERT_TRUE(wide.ok()) << wide.error().to_string();
  EXPECT_EQ(wide->engine.threads, 1023);
  EXPECT_EQ(wide->engine.stripes_per_thread, 63);
  EXPECT_EQ(wide->engine.context, 16777215);
  EXPECT_EQ(wide->engine.kv_bytes, 1125899906842623);
  EXPECT_EQ(wide->sampling.seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(wide->sampling.top_k, 999999);
  EXPECT_EQ(wide->sampling.max_tokens, 16777215);
  EXPECT_EQ(
      parse_manifest(json(",\"engine\":{\"kv_pages\":2147483647}"), "m.json")->engine.kv_pages,
      2147483647);
}

TEST(ManifestJson, Refusals) {
  EXPECT_EQ(error_of("{\"model\":", "m.json").id, "TENON-M003");
  EXPECT_EQ(error_of(std::string(5000, '['), "m.json").id, "TENON-M003");
  EXPECT_EQ(error_of(json(",\"model\":{}"), "m.json").id, "TENON-M005");
  EXPECT_EQ(error_of(json(",\"engine\":{\"threads\":\"two\"}"), "m.json").id, "TENON-M005");
  EXPECT_EQ(error_of(json(",\"engine\":{\"threads\":1.5}"), "m.json").id, "TENON-M005");
  EXPECT_EQ(error_of(json(",\"engine\":{\"kv_bytes\":9223372036854775808}"), "m.json").id,
            "TENON-M005");
  EXPECT_FALSE(error_of("[]", "m.json").id.empty());
}

TEST(ManifestJson, UnknownFieldHasPlaceAndNearestName) {
  const Error root = error_of(json(",\"sampler\":{}"), "m.json");
  EXPECT_EQ(root.id, "TENON-M004");
  const Error nested = error_of(json(",\n\"sampling\":{\"topk\":1}"), "m.json");
  EXPECT_EQ(nested.id, "TENON-M004");
  EXPECT_EQ(nested.where, "m.json:4:13");
  EXPECT_EQ(nested.fix, "did you mean \"top_k\"?");
}

}  // namespace
}  // namespace tenon
