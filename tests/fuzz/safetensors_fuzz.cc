// Any bytes give a safetensors file or a named error; what a file gives out can be read to its last
// byte, and its tensors fill the data.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/format/safetensors.h"

namespace {

volatile unsigned sink;

void read_all(const tenon::SafetensorsFile& file) {
  unsigned sum = 0;
  std::uint64_t bytes = 0;
  std::vector<float> room;
  for (const tenon::SafetensorsTensor& tensor : file.tensors()) {
    for (const std::byte b : tensor.data) sum += static_cast<unsigned>(b);
    bytes += tensor.data.size();
    if (file.find(tensor.name) != &tensor) std::abort();
    if (tensor.data.size() * 8 != tensor.values() * tensor.type->bits) std::abort();
    room.resize(tensor.values());
    if (file.read_f32(tensor, room).ok() != tensor.type->converts) std::abort();
  }
  if (bytes > file.file_bytes() - 8) std::abort();
  for (const auto& [key, value] : file.metadata())
    sum += static_cast<unsigned>(key.size() + value.size());
  sink = sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = tenon::SafetensorsFile::parse({reinterpret_cast<const std::byte*>(data), size},
                                                  "fuzz.safetensors");
  if (file.ok())
    read_all(*file);
  else if (file.error().id.rfind("TENON-F0", 0) != 0 || file.error().to_string().empty())
    std::abort();
  return 0;
}
