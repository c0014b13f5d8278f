// Which modules a configuration means: PEFT's rules over dotted paths.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace tenon::lora {

// A regular expression of the configuration. PCRE2 reads what Python's `re` reads, for all that
// module paths need.
class Pattern {
 public:
  // `field` is named in the error.
  static sdk::Status compile(const std::string& field, const std::string& text, Pattern& out);
  // The whole of `path`.
  bool matches(std::string_view path) const;
  // From the start of `path`; the number in the group `idx`.
  std::optional<std::int64_t> index_in(std::string_view path) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

// The value of a pattern table that fits a module first, in the file's order.
template <class T>
struct PatternTable {
  std::vector<std::pair<Pattern, T>> entries;
  T get(std::string_view module, T otherwise) const {
    for (const auto& [pattern, value] : entries)
      if (pattern.matches(module)) return value;
    return otherwise;
  }
};

// `target_modules` or `exclude_modules`: names that end a path, or one expression for all of it.
struct ModuleNames {
  std::vector<std::string> names;
  std::optional<Pattern> pattern;
  bool all_linear = false;
  bool contains(std::string_view module) const;
};

struct Targets {
  ModuleNames include, exclude;
  std::vector<std::int64_t> layers;  // layers_to_transform; empty: all
  std::vector<Pattern> layer_paths;  // layers_pattern, or what stands for none
  bool contains(std::string_view module) const;
};

}  // namespace tenon::lora
