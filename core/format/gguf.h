// GGUF model files, versions 2 and 3, little-endian, mapped read-only.
//
// Nothing in a file is trusted: every size goes through checked arithmetic before it is used, a
// count is believed only while the bytes that are left could hold it, and what is allocated is at
// most a small multiple of the bytes read. Views (keys, strings, tensor data) point into the
// mapping and live as long as the GgufFile. What a tensor's bytes mean is not known here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/format/mapped_file.h"
#include "core/tensor/ggml_type.h"

namespace tenon {

// Widths are folded: u8 to u64 are kUint, i8 to i64 kInt, f32 and f64 kFloat.
enum class GgufKind : std::uint8_t { kUint, kInt, kFloat, kBool, kString, kArray };
std::string_view gguf_kind_name(GgufKind kind);

// A run of elements as the file stores them; read it through GgufFile's array getters.
struct GgufArray {
  GgufKind element = GgufKind::kUint;
  std::uint8_t width = 0;  // bytes per element; 0 for strings
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;  // numbers and booleans, unaligned
  std::uint64_t first_string = 0;    // strings: where they start in the file's table
};

struct GgufValue {
  GgufKind kind = GgufKind::kUint;
  union {
    std::uint64_t u = 0;
    std::int64_t i;
    double f;
    bool b;
  };
  std::string_view s;
  GgufArray array;
};

struct GgufTensor {
  std::string_view name;
  GgmlType type = GgmlType::kF32;
  std::vector<std::uint64_t> shape;  // GGUF order: shape[0] is the length of a row; 1 to 4 entries
  std::span<const std::byte> data;
  std::uint64_t values() const;
};

class GgufFile {
 public:
  static Result<GgufFile> open(const std::string& path);
  // `bytes` is borrowed and must outlive the file.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);
  GgufFile(GgufFile&& other) noexcept;
  GgufFile& operator=(GgufFile&& other) noexcept;
  ~GgufFile();

  const std::string& path() const { return path_; }
  std::uint32_t version() const { return version_; }
  std::uint64_t file_bytes() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }
  // Of the file when it was opened; bytes 0 when they are borrowed.
  const FileStamp& stamp() const { return stamp_; }
  // Where the tensors' data begins: before it are metadata and names.
  std::uint64_t data_begin() const;
  // The data is read from the file again when it is used again: until then it takes no memory of
  // this process.
  void release_data() const;
  std::uint64_t alignment() const { return alignment_; }

  // In file order.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // TENON-F020 when the key is missing (names the nearest one), TENON-F021 when it is of another
  // kind or out of range. get_uint also takes a signed value that is not negative.
  Result<std::uint64_t> get_uint(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::span<const std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<std::int64_t>> get_ints(std::string_view key) const;  // any integer width
  Result<std::vector<double>> get_floats(std::string_view key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in file order
  const GgufTensor* find_tensor(std::string_view name) const;
  Result<const GgufTensor*> get_tensor(std::string_view name) const;  // TENON-F022 when missing

 private:
  friend class GgufParser;
  GgufFile() = default;
  Result<const GgufValue*> get(std::string_view key, GgufKind kind) const;
  Result<const GgufArray*> get_array(std::string_view key, bool (*fits)(GgufKind),
                                     std::string_view expected) const;
  Error wrong_kind(std::string_view key, std::string found, std::string expected) const;
  void unmap();

  std::string path_;
  std::span<const std::byte> bytes_;
  FileStamp stamp_;
  void* mapping_ = nullptr;  // null when the bytes are borrowed
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32;
  std::vector<std::pair<std::string_view, GgufValue>> metadata_;
  std::vector<std::string_view> strings_;  // the elements of all string arrays
  std::vector<GgufTensor> tensors_;
  std::vector<std::uint32_t> key_order_, tensor_order_;  // sorted by name
};

}  // namespace tenon
