// Any text: a manifest that reads back as itself, or an error. The first byte chooses text format
// or JSON.
#include <cstdlib>

#include "core/manifest/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto result = tenon::parse_manifest(text, (data[0] & 1) != 0 ? "m.json" : "m.textproto");
  if (!result.ok()) return 0;
  const std::string canonical = tenon::canonical_text(*result);
  const auto again = tenon::parse_manifest(canonical, "again.textproto");
  if (!again.ok() || tenon::canonical_text(*again) != canonical) std::abort();
  return 0;
}
