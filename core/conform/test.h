// A test of the conformance kit: what it is called, what it holds a plugin to, and how it is run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugin/catalog.h"
#include "core/plugin/params.h"

namespace tenon::conform {

enum class Outcome { kOk, kWarning, kSkipped, kFailed, kCrashed };
const char* outcome_name(Outcome outcome);  // "ok", "warning", "skipped", "failed", "crashed"

// What a test found. An Error is a failure, so that TENON_TRY and TENON_ASSIGN work in tests.
struct Finding {
  Outcome outcome = Outcome::kOk;
  std::string text;

  Finding() = default;
  Finding(const Error& error)  // NOLINT(google-explicit-constructor)
      : outcome(Outcome::kFailed), text(error.to_string()) {}
  Finding(Outcome outcome, std::string text) : outcome(outcome), text(std::move(text)) {}
};
inline Finding passed() { return {}; }
inline Finding failed(std::string text) { return {Outcome::kFailed, std::move(text)}; }
inline Finding skipped(std::string why) { return {Outcome::kSkipped, std::move(why)}; }
inline Finding warned(std::string text) { return {Outcome::kWarning, std::move(text)}; }

// The plugin under test.
struct Subject {
  PluginFile file;
  std::vector<ManifestParam>
      params;  // as given by the caller; what is required and missing is made up
  std::vector<std::string> directories;  // of other plugins, for tests that need a whole engine
  std::uint64_t seed = 1;                // a test's random numbers follow from it alone
  int effort = 1;                        // multiplies random cases; fuzzing raises it

  const PluginDescriptor& descriptor() const { return file.descriptor; }
  // The parameters of an instance; `changed` replaces single ones.
  Result<ResolvedParams> resolve(const std::vector<ManifestParam>& changed = {}) const;
};

struct Test {
  const char* name;   // "<group>.<what>"; the part before the point is its group
  const char* about;  // one sentence: what holds
  const char* kind;   // of plugins; null: all
  Finding (*run)(const Subject& subject);

  std::string_view group() const;
  bool applies_to(const PluginDescriptor& plugin) const {
    return kind == nullptr || plugin.kind == kind;
  }
};

// Every test of the kit, group by group. Names are unique.
const std::vector<Test>& tests();

// Runs one in this process; what it throws is a failure.
Finding run_test(const Test& test, const Subject& subject);

// The tests of each file, for tests().
std::span<const Test> static_tests();
std::span<const Test> load_tests();
std::span<const Test> contract_tests();
std::span<const Test> param_tests();
std::span<const Test> memory_tests();
std::span<const Test> scheduler_tests();
std::span<const Test> cache_tests();
std::span<const Test> attention_tests();
std::span<const Test> adapter_tests();
std::span<const Test> parallelism_tests();
std::span<const Test> comm_tests();
std::span<const Test> backend_tests();
std::span<const Test> pack_tests();
std::span<const Test> engine_tests();

}  // namespace tenon::conform
