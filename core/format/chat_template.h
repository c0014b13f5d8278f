// Chat templates: the Jinja subset that published models use, run by an interpreter of our own.
//
// A template comes from a stranger's file. It sees the messages and four names, no host objects;
// its steps, output, memory and nesting are bounded. Blank space follows the settings that models
// are trained with (trim_blocks and lstrip_blocks). Not in the subset: include, import, extends,
// call, recursive loops, and strftime_now, which would change a prompt from day to day (it is
// undefined, so templates fall back to their fixed date).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace tenon {

namespace jinja {
struct Template;
}

struct ChatMessage {
  std::string role, content;
};

struct ChatTemplateLimits {
  std::uint64_t steps = 10'000'000;
  std::uint64_t output_bytes = 64u << 20;
  std::uint64_t memory_bytes = 128u << 20;
};

class ChatTemplate {
 public:
  // TENON-F040 for a syntax error (with its line), F043 for what the subset lacks, F046 for too
  // deep nesting.
  static Result<ChatTemplate> parse(std::string_view source);

  // TENON-F041 an undefined value is used, F042 a wrong type or value, F044 too many steps, F045
  // too much output or memory, F047 the template itself refuses (raise_exception).
  Result<std::string> render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                             std::string_view bos_token, std::string_view eos_token,
                             const ChatTemplateLimits& limits = {}) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Template> parsed)
      : parsed_(std::move(parsed)) {}

  std::shared_ptr<const jinja::Template> parsed_;  // shared: never changes, and copies are free
};

}  // namespace tenon
