// Writes GGUF files in memory, good ones and, field by field, bad ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/gguf.h"

namespace tenon {

enum GgufTypeId : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

class GgufWriter {
 public:
  template <class T>
  GgufWriter& raw(T value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    out_.append(bytes, sizeof value);
    return *this;
  }
  GgufWriter& text(std::string_view value) {
    raw<std::uint64_t>(value.size());
    out_ += value;
    return *this;
  }
  GgufWriter& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    out_ += "GGUF";
    return raw(version).raw(tensors).raw(keys);
  }
  template <class T>
  GgufWriter& key(std::string_view name, std::uint32_t type, T value) {
    return text(name).raw(type).raw(value);
  }
  GgufWriter& key_text(std::string_view name, std::string_view value) {
    return text(name).raw<std::uint32_t>(kString).text(value);
  }
  GgufWriter& key_array(std::string_view name, std::uint32_t element, std::uint64_t count) {
    return text(name).raw<std::uint32_t>(kArray).raw(element).raw(count);
  }
  GgufWriter& key_texts(std::string_view name, const std::vector<std::string>& values) {
    key_array(name, kString, values.size());
    for (const std::string& value : values) text(value);
    return *this;
  }
  GgufWriter& tensor(std::string_view name, const std::vector<std::uint64_t>& shape,
                     std::uint32_t type, std::uint64_t offset) {
    text(name).raw(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t dim : shape) raw(dim);
    return raw(type).raw(offset);
  }
  GgufWriter& pad(std::size_t alignment = 32) {
    while (out_.size() % alignment) out_ += '\0';
    return *this;
  }
  GgufWriter& data(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) out_ += static_cast<char>(i);
    return *this;
  }

  const std::string& bytes() const { return out_; }
  Result<GgufFile> parse() const { return parse_bytes(out_); }
  static Result<GgufFile> parse_bytes(std::string_view bytes) {
    return GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "test.gguf");
  }

 private:
  std::string out_;
};

// A file with one key of each kind and two tensors.
inline GgufWriter sample_gguf() {
  GgufWriter out;
  out.header(2, 9);
  out.key("a.u8", kU8, std::uint8_t{200}).key("a.i16", kI16, std::int16_t{-5});
  out.key("a.u64", kU64, std::uint64_t{1} << 40).key("a.f32", kF32, 0.5f).key("a.f64", kF64, 0.25);
  out.key("a.bool", kBool, std::uint8_t{1}).key_text("a.text", "hello");
  out.key_texts("a.texts", {"x", "", "yz"});
  out.key_array("a.ints", kI32, 2).raw<std::int32_t>(-1).raw<std::int32_t>(7);
  out.tensor("w", {32, 2}, 2, 0).tensor("b", {4}, 0, 64);
  return out.pad().data(36).pad().data(16);
}

}  // namespace tenon
