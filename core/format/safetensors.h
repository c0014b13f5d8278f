// safetensors files, as adapters and trained weights come in them: eight bytes with the length of a
// header, the header in JSON, then the tensors' bytes. Mapped read-only.
//
// Nothing in a file is trusted: the header is bounded, has exactly the fields of the format, no key
// twice; tensors have the sizes that their shapes say and fill the data without gap or overlap, in
// any order. Data points into the mapping, is not aligned, and lives as long as the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct SafetensorsType {
  std::string_view name;  // "BF16"
  std::uint32_t bits;     // of one value
  bool converts = false;  // read_f32 takes it
};

struct SafetensorsTensor {
  std::string name;
  const SafetensorsType* type = nullptr;  // never null in a file that was read
  std::vector<std::uint64_t> shape;       // outermost first; empty: one value
  std::span<const std::byte> data;
  std::uint64_t values() const;
};

struct UnmapBytes {
  std::size_t bytes = 0;
  void operator()(void* mapping) const;
};

class SafetensorsFile {
 public:
  //   TENON-F060 it cannot be read          F061 it ends before its header's length
  //   F062 that length is not usable        F063 the header is no JSON
  //   F064 ... has another structure        F065 ... has a key twice
  //   F066 ... lacks a field                F067 a dtype is not known
  //   F068 a shape is too large             F069 offsets are outside the data
  //   F070 a size is not the shape's        F071 tensors overlap
  //   F072 bytes belong to no tensor
  static Result<SafetensorsFile> open(const std::string& path);
  // `bytes` is borrowed and must outlive the file.
  static Result<SafetensorsFile> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const { return bytes_.size(); }

  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by name
  const SafetensorsTensor* find(std::string_view name) const;                 // null when missing
  Result<const SafetensorsTensor*> get(std::string_view name) const;          // TENON-F073

  // "__metadata__", by key.
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }

  // The tensor's values as float32, exactly; out: values() of them. TENON-F074 when its dtype is
  // none of F32, F16 and BF16, F075 when `out` has another size.
  Status read_f32(const SafetensorsTensor& tensor, std::span<float> out) const;

 private:
  SafetensorsFile() = default;
  Status read();

  std::string path_;
  std::unique_ptr<void, UnmapBytes> mapping_;  // null when the bytes are borrowed
  std::span<const std::byte> bytes_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace tenon
