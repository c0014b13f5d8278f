// Writes safetensors files in memory: any header, any data.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/format/safetensors.h"

namespace tenon {

inline std::string safetensors_bytes(std::string_view header, std::size_t data_bytes) {
  std::string out(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(out.data(), &length, sizeof length);
  out += header;
  for (std::size_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

inline Result<SafetensorsFile> parse_safetensors(std::string_view bytes) {
  return SafetensorsFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())),
                                "test.safetensors");
}

// A file with tensors of several dtypes, in no order of names.
inline std::string sample_safetensors() {
  return safetensors_bytes(R"({"__metadata__":{"format":"pt","r":"8"},)"
                           R"("b":{"dtype":"F16","shape":[3],"data_offsets":[16,22]},)"
                           R"("a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                           R"("z":{"dtype":"BF16","shape":[],"data_offsets":[22,24]},)"
                           R"("n":{"shape":[0,7],"data_offsets":[24,24],"dtype":"I64"},)"
                           R"("q":{"dtype":"F4","shape":[2,3],"data_offsets":[24,27]}}   )",
                           27);
}

}  // namespace tenon
