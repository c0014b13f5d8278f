// Where tests find the real model. A test without one is skipped, never failed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace tenon {

inline constexpr const char* kNoTestModel =
    "no model: run `./tenon model pull smollm2-135m-instruct`, or set TENON_TEST_MODEL";

inline constexpr const char* kNoGemma =
    "no model: run `./tenon model pull gemma-3-270m`, or set TENON_TEST_GEMMA";

// The file that a variable of the environment names, else `file` in the folder where `tenon model
// pull` puts models. A variable that names no file gives nothing rather than another model.
inline std::optional<std::string> pulled_model_path(const char* name, const char* file) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  std::filesystem::path path = variable(name);
  if (path.empty()) {
    const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
    path = cache.empty() ? std::filesystem::path(home) / ".cache" : std::filesystem::path(cache);
    path = path / "tenon/models" / file;
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  return path.string();
}

// SmolLM2, or what TENON_TEST_MODEL names.
inline std::optional<std::string> test_model_path() {
  return pulled_model_path("TENON_TEST_MODEL",
                           "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
}

// Gemma 3 270M, or what TENON_TEST_GEMMA names.
inline std::optional<std::string> test_gemma_path() {
  return pulled_model_path("TENON_TEST_GEMMA", "gemma-3-270m/gemma-3-270m-q4_k_m.gguf");
}

}  // namespace tenon
