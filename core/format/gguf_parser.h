// Reads a GGUF file's header, metadata and tensor table into a GgufFile. Internal to core/format.
#pragma once

#include "core/format/gguf.h"

namespace tenon {

class GgufParser {
 public:
  // `file` has its path and bytes; everything else is filled in.
  explicit GgufParser(GgufFile& file) : file_(file), bytes_(file.bytes_) {}
  Status parse();

 private:
  struct Counts {
    std::uint64_t tensors = 0, keys = 0;
  };
  Result<Counts> header();
  Status metadata(std::uint64_t count);
  Status key(std::string_view& out);
  Status value(GgufValue& out);
  Status scalar(std::uint32_t type, GgufValue& out);
  Status array(GgufValue& out);
  Status boolean(bool& out);
  Status index_keys();
  Status set_alignment();
  Status tensor_table(std::uint64_t count);
  Status tensor_name(std::string_view& out);
  Status tensor_info(GgufTensor& out, std::uint64_t& offset);
  Status tensor_shape(GgufTensor& out);
  Status tensor_size(const GgufTensor& tensor, std::uint64_t at, std::uint64_t& out) const;
  Status index_tensors();
  Status place(std::span<const std::uint64_t> offsets, std::span<const std::uint64_t> sizes);
  Status check_overlap(std::span<const std::uint64_t> offsets,
                       std::span<const std::uint64_t> sizes) const;

  template <class T>
  Status read(T& out, std::string_view what);
  Status read_string(std::string_view& out, std::string_view what);
  Status check_count(std::uint64_t count, std::uint64_t least_bytes, std::string_view what) const;
  std::uint64_t left() const { return bytes_.size() - at_; }
  Error fail(std::uint64_t at, std::string id, std::string message, std::string found,
             std::string expected, std::string fix = {}) const;

  GgufFile& file_;
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  std::uint64_t item_at_ = 0;  // where the key or tensor being read starts
};

}  // namespace tenon
