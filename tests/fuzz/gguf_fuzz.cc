// Any bytes give a GGUF file or a named error; what a file gives out can be read to its last byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/format/gguf.h"

namespace {

volatile unsigned sink;

void read_all(const tenon::GgufFile& file) {
  unsigned sum = 0;
  for (const auto& [key, value] : file.metadata()) {
    if (const auto strings = file.get_strings(key); strings.ok())
      for (const std::string_view text : *strings)
        for (const char c : text) sum += static_cast<unsigned char>(c);
    if (const auto ints = file.get_ints(key); ints.ok()) sum += static_cast<unsigned>(ints->size());
    if (const auto reals = file.get_floats(key); reals.ok())
      sum += static_cast<unsigned>(reals->size());
    if (const auto text = file.get_string(key); text.ok())
      for (const char c : *text) sum += static_cast<unsigned char>(c);
    if (!file.find(key)) std::abort();
  }
  for (const tenon::GgufTensor& tensor : file.tensors()) {
    for (const std::byte b : tensor.data) sum += static_cast<unsigned>(b);
    if (file.find_tensor(tensor.name) != &tensor) std::abort();
  }
  sink = sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file =
      tenon::GgufFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.gguf");
  if (file.ok())
    read_all(*file);
  else if (file.error().id.rfind("TENON-F0", 0) != 0 || file.error().to_string().empty())
    std::abort();
  return 0;
}
