#include "core/format/gguf_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>

#include "core/base/checked.h"
#include "core/format/utf8.h"

namespace tenon {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF fields are read by memcpy");

constexpr std::uint64_t kMaxAlignment = 64 * 1024;
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxTensorNameBytes = 1024;
constexpr std::uint32_t kMaxDims = 4;
// The least bytes that one of each can take: bounds a count before anything is allocated for it.
constexpr std::uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kLeastStringBytes = 8;

enum : std::uint32_t { kTypeBool = 7, kTypeString = 8, kTypeArray = 9, kTypes = 13 };

struct ScalarType {
  std::string_view name;
  GgufKind kind;
  std::uint8_t width;
};
constexpr std::array<ScalarType, kTypes> kScalarTypes = {{{"u8", GgufKind::kUint, 1},
                                                          {"i8", GgufKind::kInt, 1},
                                                          {"u16", GgufKind::kUint, 2},
                                                          {"i16", GgufKind::kInt, 2},
                                                          {"u32", GgufKind::kUint, 4},
                                                          {"i32", GgufKind::kInt, 4},
                                                          {"f32", GgufKind::kFloat, 4},
                                                          {"bool", GgufKind::kBool, 1},
                                                          {"string", GgufKind::kString, 0},
                                                          {"array", GgufKind::kArray, 0},
                                                          {"u64", GgufKind::kUint, 8},
                                                          {"i64", GgufKind::kInt, 8},
                                                          {"f64", GgufKind::kFloat, 8}}};

// Sorts `order` by name; the position in file order of a name that occurs twice, if any.
template <class Name>
std::optional<std::uint32_t> sort_by_name(std::vector<std::uint32_t>& order, std::size_t count,
                                          Name name) {
  order.resize(count);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const int c = name(a).compare(name(b));
    return c != 0 ? c < 0 : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i)
    if (name(order[i]) == name(order[i - 1])) return order[i];
  return std::nullopt;
}

}  // namespace

Error GgufParser::fail(std::uint64_t at, std::string id, std::string message, std::string found,
                       std::string expected, std::string fix) const {
  return {.code = Code::kInvalidArgument,
          .id = std::move(id),
          .message = std::move(message),
          .where = file_.path_ + "@" + std::to_string(at),
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = std::move(fix)};
}

template <class T>
Status GgufParser::read(T& out, std::string_view what) {
  if (left() < sizeof(T))
    return fail(at_, "TENON-F004", "the file ends inside " + std::string(what),
                std::to_string(left()) + " bytes left", std::to_string(sizeof(T)) + " bytes",
                "fetch the file again; it is cut short");
  std::memcpy(&out, bytes_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return {};
}

Status GgufParser::read_string(std::string_view& out, std::string_view what) {
  const std::uint64_t start = at_;
  std::uint64_t length = 0;
  TENON_TRY(read(length, what));
  if (length > left())
    return fail(
        start, "TENON-F004", "the file ends inside " + std::string(what),
        "a length of " + std::to_string(length) + " with " + std::to_string(left()) + " bytes left",
        "a length that fits the file", "fetch the file again; it is cut short or damaged");
  out = {reinterpret_cast<const char*>(bytes_.data() + at_), static_cast<std::size_t>(length)};
  at_ += length;
  return {};
}

Status GgufParser::check_count(std::uint64_t count, std::uint64_t least_bytes,
                               std::string_view what) const {
  if (count <= left() / least_bytes) return {};
  return fail(at_, "TENON-F005", "more " + std::string(what) + " than the file can hold",
              std::to_string(count), "at most " + std::to_string(left() / least_bytes),
              "fetch the file again; it is cut short or damaged");
}

Status GgufParser::parse() {
  TENON_ASSIGN(const Counts counts, header());
  TENON_TRY(metadata(counts.keys));
  TENON_TRY(index_keys());
  TENON_TRY(set_alignment());
  return tensor_table(counts.tensors);
}

Result<GgufParser::Counts> GgufParser::header() {
  std::array<char, 4> magic{};
  if (bytes_.size() >= magic.size()) std::memcpy(magic.data(), bytes_.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) != "GGUF")
    return fail(0, "TENON-F002", "not a GGUF file", quote_for_message({magic.data(), magic.size()}),
                "the magic \"GGUF\"", "give a .gguf model file");
  at_ = 4;
  TENON_TRY(read(file_.version_, "the version"));
  if (const std::uint32_t swapped = __builtin_bswap32(file_.version_);
      file_.version_ > 0xFFFF && swapped <= 0xFFFF)
    return fail(4, "TENON-F003", "the file is big-endian",
                "version " + std::to_string(swapped) + " with its bytes swapped",
                "a little-endian file", "convert the file for little-endian machines");
  if (file_.version_ != 2 && file_.version_ != 3)
    return fail(4, "TENON-F003", "this GGUF version is not supported",
                "version " + std::to_string(file_.version_), "version 2 or 3",
                "convert the model again with a current converter");
  Counts counts;
  TENON_TRY(read(counts.tensors, "the tensor count"));
  TENON_TRY(read(counts.keys, "the key count"));
  TENON_TRY(check_count(counts.keys, kLeastKeyBytes, "keys"));
  TENON_TRY(check_count(counts.tensors, kLeastTensorBytes, "tensors"));
  return counts;
}

Status GgufParser::metadata(std::uint64_t count) {
  file_.metadata_.resize(count);
  for (auto& [name, value_out] : file_.metadata_) {
    item_at_ = at_;
    TENON_TRY(key(name));
    TENON_TRY(value(value_out));
  }
  return {};
}

Status GgufParser::key(std::string_view& out) {
  TENON_TRY(read_string(out, "a key"));
  if (out.empty() || out.size() > kMaxKeyBytes || !is_utf8(out))
    return fail(item_at_, "TENON-F006", "a key is not a name",
                out.empty() ? "an empty key" : quote_for_message(out), "1 to 65535 bytes of UTF-8");
  return {};
}

Status GgufParser::value(GgufValue& out) {
  const std::uint64_t start = at_;
  std::uint32_t type = 0;
  TENON_TRY(read(type, "a value's type"));
  if (type >= kTypes)
    return fail(start, "TENON-F008", "a value has an unknown type", "type " + std::to_string(type),
                "a type from 0 to 12");
  out.kind = kScalarTypes[type].kind;
  if (type == kTypeArray) return array(out);
  if (type == kTypeString) return read_string(out.s, "a string");
  return scalar(type, out);
}

Status GgufParser::scalar(std::uint32_t type, GgufValue& out) {
  const ScalarType& info = kScalarTypes[type];
  if (info.kind == GgufKind::kBool) return boolean(out.b);
  const auto load = [&]<class T>(T raw, auto& target) -> Status {
    TENON_TRY(read(raw, "a value"));
    target = raw;
    return {};
  };
  switch (type) {
    case 0:
      return load(std::uint8_t{}, out.u);
    case 1:
      return load(std::int8_t{}, out.i);
    case 2:
      return load(std::uint16_t{}, out.u);
    case 3:
      return load(std::int16_t{}, out.i);
    case 4:
      return load(std::uint32_t{}, out.u);
    case 5:
      return load(std::int32_t{}, out.i);
    case 6:
      return load(float{}, out.f);
    case 10:
      return load(std::uint64_t{}, out.u);
    case 11:
      return load(std::int64_t{}, out.i);
    default:
      return load(double{}, out.f);
  }
}

Status GgufParser::boolean(bool& out) {
  std::uint8_t raw = 0;
  TENON_TRY(read(raw, "a boolean"));
  if (raw > 1)
    return fail(at_ - 1, "TENON-F010", "a boolean is neither 0 nor 1", std::to_string(raw),
                "0 or 1");
  out = raw == 1;
  return {};
}

Status GgufParser::array(GgufValue& out) {
  const std::uint64_t start = at_;
  std::uint32_t type = 0;
  TENON_TRY(read(type, "an array's element type"));
  TENON_TRY(read(out.array.count, "an array's length"));
  if (type >= kTypes)
    return fail(start, "TENON-F008", "an array has an unknown element type",
                "type " + std::to_string(type), "a type from 0 to 12");
  if (type == kTypeArray)
    return fail(start, "TENON-F009", "an array holds arrays", "a nested array",
                "an array of numbers, booleans or strings");
  out.array.element = kScalarTypes[type].kind;
  out.array.width = kScalarTypes[type].width;
  if (type == kTypeString) {
    TENON_TRY(check_count(out.array.count, kLeastStringBytes, "array elements"));
    out.array.first_string = file_.strings_.size();
    file_.strings_.resize(file_.strings_.size() + out.array.count);
    for (std::uint64_t i = 0; i < out.array.count; ++i)
      TENON_TRY(read_string(file_.strings_[out.array.first_string + i], "an array of strings"));
    return {};
  }
  TENON_TRY(check_count(out.array.count, out.array.width, "array elements"));
  if (type == kTypeBool) {
    const std::uint64_t begin = at_;
    for (bool ignored = false; at_ < begin + out.array.count;) TENON_TRY(boolean(ignored));
    at_ = begin;
  }
  out.array.bytes = bytes_.subspan(at_, out.array.count * out.array.width);
  at_ += out.array.bytes.size();
  return {};
}

Status GgufParser::index_keys() {
  const auto name = [&](std::uint32_t i) { return file_.metadata_[i].first; };
  const auto twice = sort_by_name(file_.key_order_, file_.metadata_.size(), name);
  if (!twice) return {};
  const auto offset = reinterpret_cast<const std::byte*>(name(*twice).data()) - bytes_.data();
  return fail(static_cast<std::uint64_t>(offset), "TENON-F007", "a key occurs twice",
              quote_for_message(name(*twice)), "each key once");
}

Status GgufParser::set_alignment() {
  const GgufValue* value = file_.find("general.alignment");
  if (!value) return {};
  const bool good =
      value->kind == GgufKind::kUint && std::has_single_bit(value->u) && value->u <= kMaxAlignment;
  if (!good)
    return fail(at_, "TENON-F011", "general.alignment cannot be used",
                value->kind == GgufKind::kUint ? std::to_string(value->u)
                                               : std::string(gguf_kind_name(value->kind)),
                "an unsigned power of two, at most 65536");
  file_.alignment_ = value->u;
  return {};
}

Status GgufParser::tensor_table(std::uint64_t count) {
  TENON_TRY(check_count(count, kLeastTensorBytes, "tensors"));
  file_.tensors_.resize(count);
  std::vector<std::uint64_t> offsets(count), sizes(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    item_at_ = at_;
    TENON_TRY(tensor_info(file_.tensors_[i], offsets[i]));
    TENON_TRY(tensor_size(file_.tensors_[i], item_at_, sizes[i]));
  }
  TENON_TRY(index_tensors());
  return place(offsets, sizes);
}

Status GgufParser::tensor_name(std::string_view& out) {
  TENON_TRY(read_string(out, "a tensor's name"));
  if (out.empty() || out.size() > kMaxTensorNameBytes || !is_utf8(out))
    return fail(item_at_, "TENON-F012", "a tensor has no usable name",
                out.empty() ? "an empty name" : quote_for_message(out), "1 to 1024 bytes of UTF-8");
  return {};
}

Status GgufParser::tensor_info(GgufTensor& out, std::uint64_t& offset) {
  TENON_TRY(tensor_name(out.name));
  TENON_TRY(tensor_shape(out));
  std::uint32_t type = 0;
  TENON_TRY(read(type, "a tensor's type"));
  const GgmlTypeInfo* info = find_ggml_type(type);
  if (!info)
    return fail(item_at_, "TENON-F015",
                "tensor " + quote_for_message(out.name) + " has a storage type that is not known",
                "type " + std::to_string(type), "one of the GGUF storage types up to BF16",
                "use a file quantised to a common type, such as Q4_K or Q8_0");
  out.type = info->type;
  return read(offset, "a tensor's offset");
}

Status GgufParser::tensor_shape(GgufTensor& out) {
  std::uint32_t dims = 0;
  TENON_TRY(read(dims, "a tensor's rank"));
  if (dims < 1 || dims > kMaxDims)
    return fail(item_at_, "TENON-F013",
                "tensor " + quote_for_message(out.name) + " has a rank out of range",
                std::to_string(dims) + " dimensions", "1 to 4");
  out.shape.resize(dims);
  std::optional<std::uint64_t> values = 1;
  for (std::uint64_t& dim : out.shape) {
    TENON_TRY(read(dim, "a tensor's shape"));
    if (dim == 0)
      return fail(item_at_, "TENON-F014", "tensor " + quote_for_message(out.name) + " is empty",
                  "a dimension of 0", "dimensions of at least 1");
    if (values) values = checked_mul(*values, dim);
  }
  if (!values || *values > static_cast<std::uint64_t>(INT64_MAX))
    return fail(item_at_, "TENON-F014",
                "the shape of tensor " + quote_for_message(out.name) + " overflows",
                "more than 2^63 values", "a product of dimensions below 2^63");
  return {};
}

Status GgufParser::tensor_size(const GgufTensor& tensor, std::uint64_t at,
                               std::uint64_t& out) const {
  const GgmlTypeInfo& info = ggml_type_info(tensor.type);
  if (tensor.shape[0] % info.block_values != 0)
    return fail(at, "TENON-F016",
                "a row of tensor " + quote_for_message(tensor.name) + " is no whole block",
                std::to_string(tensor.shape[0]) + " values of " + std::string(info.name),
                "a multiple of " + std::to_string(info.block_values));
  const auto bytes =
      checked_mul<std::uint64_t>(tensor.values() / info.block_values, info.block_bytes);
  if (!bytes)
    return fail(at, "TENON-F014",
                "the size of tensor " + quote_for_message(tensor.name) + " overflows",
                "more than 2^64 bytes", "a size that fits the file");
  out = *bytes;
  return {};
}

Status GgufParser::index_tensors() {
  const auto name = [&](std::uint32_t i) { return file_.tensors_[i].name; };
  const auto twice = sort_by_name(file_.tensor_order_, file_.tensors_.size(), name);
  if (!twice) return {};
  const auto offset = reinterpret_cast<const std::byte*>(name(*twice).data()) - bytes_.data();
  return fail(static_cast<std::uint64_t>(offset), "TENON-F012", "a tensor name occurs twice",
              quote_for_message(name(*twice)), "each name once");
}

Status GgufParser::place(std::span<const std::uint64_t> offsets,
                         std::span<const std::uint64_t> sizes) {
  // at_ is at most the file's size and the alignment at most 64 KiB: no overflow here.
  const std::uint64_t start = (at_ + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    GgufTensor& tensor = file_.tensors_[i];
    if (offsets[i] % file_.alignment_ != 0)
      return fail(start, "TENON-F017",
                  "tensor " + quote_for_message(tensor.name) + " is not aligned",
                  "offset " + std::to_string(offsets[i]),
                  "a multiple of " + std::to_string(file_.alignment_));
    const auto begin = checked_add(start, offsets[i]);
    const auto end = begin ? checked_add(*begin, sizes[i]) : std::nullopt;
    if (!end || *end > bytes_.size())
      return fail(
          begin.value_or(start), "TENON-F018",
          "tensor " + quote_for_message(tensor.name) + " reaches beyond the end of the file",
          std::to_string(sizes[i]) + " bytes at offset " + std::to_string(offsets[i]),
          "data inside the " + std::to_string(bytes_.size()) + " bytes of the file",
          "fetch the file again; it is cut short");
    tensor.data = bytes_.subspan(*begin, sizes[i]);
  }
  return check_overlap(offsets, sizes);
}

Status GgufParser::check_overlap(std::span<const std::uint64_t> offsets,
                                 std::span<const std::uint64_t> sizes) const {
  std::vector<std::uint32_t> order(offsets.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return offsets[a] < offsets[b]; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::uint32_t before = order[i - 1], here = order[i];
    if (offsets[before] + sizes[before] > offsets[here])
      return fail(at_, "TENON-F019", "two tensors share bytes",
                  quote_for_message(file_.tensors_[before].name) + " and " +
                      quote_for_message(file_.tensors_[here].name),
                  "tensors that do not overlap");
  }
  return {};
}

}  // namespace tenon
