// Where tests find the real model. A test without one is skipped, never failed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace tenon {

inline constexpr const char* kNoTestModel =
    "no model: run `./tenon model pull smollm2-135m-instruct`, or set TENON_TEST_MODEL";

// $TENON_TEST_MODEL, else the place where `tenon model pull` puts SmolLM2. A variable that names
// no file gives nothing rather than another model.
inline std::optional<std::string> test_model_path() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  std::filesystem::path path = variable("TENON_TEST_MODEL");
  if (path.empty()) {
    const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
    path = cache.empty() ? std::filesystem::path(home) / ".cache" : std::filesystem::path(cache);
    path /= "tenon/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  return path.string();
}

}  // namespace tenon
