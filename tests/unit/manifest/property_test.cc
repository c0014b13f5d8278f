// Whatever the text, reading a manifest returns: a manifest that reads back as itself, or an error
// with an id.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/manifest/manifest.h"

namespace tenon {
namespace {

// Words of the language in any order: far more of them get past the tokenizer than of random bytes.
rc::Gen<std::string> words() {
  const auto word = rc::gen::element<std::string>(
      "model", "network", "backend", "attention", "scheduler", "cache", "engine", "sampling",
      "plugin", "version", "library", "param", "key", "i", "d", "s", "b", "name", "file", "{", "}",
      ":", "\"x.y\"", "\"\\377\"", "1", "-1", "1e999", "nan", "18446744073709551616", "true", "[",
      "]", ",", ";", "#", "\n", "<", ">", "'", "seed", "temperature", "threads");
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(word),
                      [](const std::vector<std::string>& list) {
                        std::string out;
                        for (const std::string& item : list) out += item + " ";
                        return out;
                      });
}

void check_outcome(const std::string& text, const std::string& name) {
  const Result<Manifest> result = parse_manifest(text, name);
  if (!result.ok()) {
    RC_ASSERT(result.error().id.starts_with("TENON-M"));
    RC_ASSERT(!result.error().message.empty());
    return;
  }
  const std::string canonical = canonical_text(*result);
  const Result<Manifest> again = parse_manifest(canonical, "again.textproto");
  RC_ASSERT(again.ok());
  RC_ASSERT(canonical_text(*again) == canonical);
}

RC_GTEST_PROP(ManifestProperty, RandomBytesAreRefusedOrRead, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  check_outcome(text, "m.textproto");
  check_outcome(text, "m.json");
}

RC_GTEST_PROP(ManifestProperty, RandomWordsAreRefusedOrRead, ()) {
  check_outcome(*words(), "m.textproto");
}

RC_GTEST_PROP(ManifestProperty, AnyParameterTextReadsBack, ()) {
  Manifest manifest;
  manifest.model.name = "m";
  for (ManifestRole* role :
       {&manifest.network, &manifest.backend, &manifest.attention, &manifest.scheduler})
    role->plugin = "p.p";
  const auto number = *rc::gen::arbitrary<std::int64_t>();
  const auto real = *rc::gen::arbitrary<double>();
  const auto text = *rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
  manifest.scheduler.params = {{"a", number, ""}, {"b", real, ""}, {"c", text, ""}};
  const Result<Manifest> again = parse_manifest(canonical_text(manifest), "again.textproto");
  RC_ASSERT(again.ok());
  RC_ASSERT(std::get<std::int64_t>(again->scheduler.params[0].value) == number);
  RC_ASSERT(std::get<double>(again->scheduler.params[1].value) == real);
  RC_ASSERT(std::get<std::string>(again->scheduler.params[2].value) == text);
}

}  // namespace
}  // namespace tenon
