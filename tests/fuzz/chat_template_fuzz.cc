// Any template renders within its limits or gives a named error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/format/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<tenon::ChatMessage> kMessages = {
      {"system", " Be brief. "}, {"user", "H\xC3\xA9llo <b>'x'</b>\n"}, {"assistant", ""}};
  const auto parsed = tenon::ChatTemplate::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) {
    if (parsed.error().id.rfind("TENON-F04", 0) != 0) std::abort();
    return 0;
  }
  const tenon::ChatTemplateLimits limits = {
      .steps = 50'000, .output_bytes = 1 << 20, .memory_bytes = 4 << 20};
  const auto out = parsed->render(kMessages, true, "<s>", "</s>", limits);
  if (out.ok() ? out->size() > limits.output_bytes : out.error().id.rfind("TENON-F04", 0) != 0)
    std::abort();
  return 0;
}
