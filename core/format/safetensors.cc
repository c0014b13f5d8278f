#include "core/format/safetensors.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/suggest.h"
#include "core/format/mapped_file.h"
#include "core/format/safetensors_header.h"
#include "core/format/utf8.h"
#include "core/tensor/half.h"

namespace tenon {
namespace {

constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the limit of the format's own library

constexpr SafetensorsType kTypes[] = {
    {"F32", 32, true}, {"F16", 16, true}, {"BF16", 16, true}, {"F64", 64},        {"BOOL", 8},
    {"U8", 8},         {"I8", 8},         {"U16", 16},        {"I16", 16},        {"U32", 32},
    {"I32", 32},       {"U64", 64},       {"I64", 64},        {"C64", 64},        {"F8_E4M3", 8},
    {"F8_E5M2", 8},    {"F8_E8M0", 8},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6},    {"F4", 4},
};

const SafetensorsType* find_type(std::string_view name) {
  for (const SafetensorsType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

Error bad(const std::string& where, std::string id, std::string message, std::string found,
          std::string expected) {
  return {.code = Code::kInvalidArgument,
          .id = std::move(id),
          .message = std::move(message),
          .where = where,
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = "write the file again, or fetch it again"};
}

Error cannot_open(const std::string& path, std::string found) {
  return {.code = Code::kNotFound,
          .id = "TENON-F060",
          .message = "cannot read the tensor file",
          .where = path,
          .found = std::move(found),
          .expected = "a readable regular file that is not empty",
          .fix = "check the path and its permissions"};
}

std::string place_of(const std::string& path, const std::string& tensor) {
  return path + ", tensor " + quote_for_message(tensor);
}

std::string range_text(const SafetensorsEntry& entry) {
  return "[" + std::to_string(entry.offsets[0]) + ", " + std::to_string(entry.offsets[1]) + ")";
}

// The bytes that a shape asks for; TENON-F068 when there is no such number of whole bytes.
Result<std::uint64_t> bytes_of(const SafetensorsEntry& entry, const SafetensorsType& type,
                               const std::string& where) {
  std::uint64_t bits = type.bits;
  bool fits = true;
  for (const std::uint64_t dim : entry.shape) fits &= !__builtin_mul_overflow(bits, dim, &bits);
  if (fits && bits % 8 == 0) return bits / 8;
  std::string shape;
  for (std::size_t i = 0; i < entry.shape.size() && i < 16; ++i)
    shape += (i == 0 ? "" : ", ") + std::to_string(entry.shape[i]);
  return bad(where, "TENON-F068", "a shape is not one that a file can hold",
             "[" + shape + "] of " + std::string(type.name), "a whole number of bytes below 2^61");
}

// One tensor's fields against the data; where it lies beside others is checked later.
Result<SafetensorsTensor> make_tensor(const SafetensorsEntry& entry,
                                      std::span<const std::byte> data, const std::string& path) {
  const std::string where = place_of(path, entry.name);
  const SafetensorsType* type = find_type(entry.dtype);
  if (type == nullptr) {
    std::string known;
    for (const SafetensorsType& each : kTypes)
      known += (known.empty() ? "" : ", ") + std::string(each.name);
    return bad(where, "TENON-F067", "a dtype is not known", quote_for_message(entry.dtype), known);
  }
  TENON_ASSIGN(const std::uint64_t bytes, bytes_of(entry, *type, where));
  const auto [begin, end] = entry.offsets;
  if (begin > end || end > data.size())
    return bad(where, "TENON-F069", "a tensor lies outside the data", range_text(entry),
               "a range in [0, " + std::to_string(data.size()) + ")");
  if (end - begin != bytes)
    return bad(where, "TENON-F070", "a tensor's size is not that of its shape",
               std::to_string(end - begin) + " bytes", std::to_string(bytes) + " bytes");
  return SafetensorsTensor{entry.name, type, entry.shape, data.subspan(begin, bytes)};
}

// Tensors fill [0, bytes) without overlap or gap.
Status check_cover(const std::vector<SafetensorsEntry>& entries, std::uint64_t bytes,
                   const std::string& path) {
  std::vector<const SafetensorsEntry*> order;
  order.reserve(entries.size());
  for (const SafetensorsEntry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->offsets < b->offsets; });
  std::uint64_t covered = 0;
  const auto hole = [&](std::uint64_t end) {
    return bad(path, "TENON-F072", "bytes of the data belong to no tensor",
               "[" + std::to_string(covered) + ", " + std::to_string(end) + ")",
               "data without gaps");
  };
  for (const SafetensorsEntry* entry : order) {
    if (entry->offsets[0] < covered)
      return bad(place_of(path, entry->name), "TENON-F071", "two tensors overlap",
                 range_text(*entry), "a start at " + std::to_string(covered) + " or later");
    if (entry->offsets[0] > covered) return hole(entry->offsets[0]);
    covered = entry->offsets[1];
  }
  if (covered != bytes) return hole(bytes);
  return {};
}

float value_at(const std::byte* at, const SafetensorsType& type) {
  if (type.bits == 32) {
    float out;
    std::memcpy(&out, at, sizeof out);
    return out;
  }
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return type.name == "F16" ? f32_from_f16(bits) : std::bit_cast<float>(std::uint32_t{bits} << 16);
}

}  // namespace

std::uint64_t SafetensorsTensor::values() const {
  std::uint64_t out = 1;
  for (const std::uint64_t dim : shape) out *= dim;  // checked when the file was read
  return out;
}

void UnmapBytes::operator()(void* mapping) const { ::munmap(mapping, bytes); }

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  const Mapping mapping = map_file(path);
  if (mapping.memory == nullptr) return cannot_open(path, mapping.why_not);
  SafetensorsFile file;
  file.path_ = path;
  file.mapping_ = std::unique_ptr<void, UnmapBytes>(mapping.memory, UnmapBytes{mapping.bytes});
  file.bytes_ = {static_cast<const std::byte*>(mapping.memory), mapping.bytes};
  TENON_TRY(file.read());
  return file;
}

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes, std::string name) {
  SafetensorsFile file;
  file.path_ = std::move(name);
  file.bytes_ = bytes;
  TENON_TRY(file.read());
  return file;
}

Status SafetensorsFile::read() {
  std::uint64_t length = 0;
  if (bytes_.size() < sizeof length)
    return bad(path_, "TENON-F061", "the file ends before the length of its header",
               std::to_string(bytes_.size()) + " bytes", "at least 8");
  std::memcpy(&length, bytes_.data(), sizeof length);
  const std::uint64_t most = std::min<std::uint64_t>(bytes_.size() - 8, kMostHeaderBytes);
  if (length < 2 || length > most)
    return bad(path_, "TENON-F062", "the header's length cannot be",
               std::to_string(length) + " bytes",
               "2 to " + std::to_string(most) + ": the file is no safetensors file, or is cut");
  const std::string_view json(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
  TENON_ASSIGN(SafetensorsHeader header, parse_safetensors_header(json, path_));
  const std::span<const std::byte> data = bytes_.subspan(8 + length);
  tensors_.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) {
    TENON_ASSIGN(SafetensorsTensor tensor, make_tensor(entry, data, path_));
    tensors_.push_back(std::move(tensor));
  }
  TENON_TRY(check_cover(header.entries, data.size(), path_));
  metadata_ = std::move(header.metadata);
  return {};
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const SafetensorsTensor& tensor, std::string_view key) { return tensor.name < key; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

Result<const SafetensorsTensor*> SafetensorsFile::get(std::string_view name) const {
  if (const SafetensorsTensor* tensor = find(name)) return tensor;
  std::vector<std::string> known;
  for (const SafetensorsTensor& tensor : tensors_)
    if (tensor.name.size() < 128 && known.size() < 4096) known.push_back(tensor.name);
  return Error{.code = Code::kNotFound,
               .id = "TENON-F073",
               .message = "the file has no such tensor",
               .where = path_,
               .found = std::to_string(tensors_.size()) + " other tensors",
               .expected = quote_for_message(name),
               .fix = suggest_fix(std::string(name.substr(0, 128)), known)};
}

Status SafetensorsFile::read_f32(const SafetensorsTensor& tensor, std::span<float> out) const {
  if (!tensor.type->converts)
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-F074",
                 .message = "a tensor of this dtype is not read as floats",
                 .where = place_of(path_, tensor.name),
                 .found = std::string(tensor.type->name),
                 .expected = "F32, F16 or BF16",
                 .fix = "convert the file to one of these"};
  if (out.size() != tensor.values())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-F075",
                 .message = "the room for a tensor's values has another size",
                 .where = place_of(path_, tensor.name),
                 .found = std::to_string(out.size()) + " values",
                 .expected = std::to_string(tensor.values())};
  const std::size_t width = tensor.type->bits / 8;
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = value_at(tensor.data.data() + i * width, *tensor.type);
  return {};
}

}  // namespace tenon
