// Any bytes as a plugin library, and as a descriptor: read, or refused with an error.
#include "core/plugin/descriptor.h"
#include "core/plugin/elf_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tenon::parse_descriptor(text, "fuzz");
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = tenon::read_elf(bytes, "fuzz");
  if (!file.ok()) return 0;
  (void)tenon::read_elf_facts(*file, "fuzz");
  if (const tenon::ElfSection* section = tenon::find_section(*file, ".tenon.plugin")) {
    const std::string_view raw(reinterpret_cast<const char*>(section->bytes.data()),
                               section->bytes.size());
    (void)tenon::parse_descriptor(raw, "fuzz");
  }
  return 0;
}
