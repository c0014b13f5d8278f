#include "core/format/gguf.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/base/suggest.h"
#include "core/format/gguf_parser.h"
#include "core/format/mapped_file.h"

namespace tenon {
namespace {

Error cannot_open(const std::string& path, std::string found) {
  return {.code = Code::kNotFound,
          .id = "TENON-F001",
          .message = "cannot read the model file",
          .where = path,
          .found = std::move(found),
          .expected = "a readable regular file that is not empty",
          .fix = "check the path and its permissions"};
}

template <class T>
T load(const GgufArray& array, std::uint64_t i) {
  T out;
  std::memcpy(&out, array.bytes.data() + i * sizeof(T), sizeof(T));
  return out;
}

std::int64_t integer_at(const GgufArray& array, std::uint64_t i) {
  if (array.element == GgufKind::kInt) {
    if (array.width == 1) return load<std::int8_t>(array, i);
    if (array.width == 2) return load<std::int16_t>(array, i);
    return array.width == 4 ? load<std::int32_t>(array, i) : load<std::int64_t>(array, i);
  }
  if (array.width == 1) return load<std::uint8_t>(array, i);
  if (array.width == 2) return load<std::uint16_t>(array, i);
  return array.width == 4 ? load<std::uint32_t>(array, i) : load<std::int64_t>(array, i);
}

// Binary search in the sorted index; the position in file order, or `count`.
template <class Name>
std::size_t find_name(const std::vector<std::uint32_t>& order, std::string_view wanted, Name name) {
  const auto at =
      std::lower_bound(order.begin(), order.end(), wanted,
                       [&](std::uint32_t i, std::string_view key) { return name(i) < key; });
  return at != order.end() && name(*at) == wanted ? *at : order.size();
}

// The nearest name for an error message; bounded, because the names are the file's.
template <class Items, class Name>
std::string nearest(std::string_view wanted, const Items& items, Name name) {
  std::vector<std::string> known;
  for (const auto& item : items)
    if (name(item).size() < 128 && known.size() < 4096) known.emplace_back(name(item));
  return nearest_name(wanted, known);
}

}  // namespace

std::string_view gguf_kind_name(GgufKind kind) {
  static constexpr std::string_view kNames[] = {"unsigned integer", "integer", "float",
                                                "boolean",          "string",  "array"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::uint64_t GgufTensor::values() const {
  std::uint64_t out = 1;
  for (const std::uint64_t dim : shape) out *= dim;  // checked when the table was read
  return out;
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  const Mapping mapping = map_file(path);
  if (mapping.memory == nullptr) return cannot_open(path, mapping.why_not);
  GgufFile file;
  file.path_ = path;
  file.mapping_ = mapping.memory;
  file.bytes_ = {static_cast<const std::byte*>(mapping.memory), mapping.bytes};
  file.stamp_ = mapping.stamp;
  TENON_TRY(GgufParser(file).parse());
  return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.path_ = std::move(name);
  file.bytes_ = bytes;
  TENON_TRY(GgufParser(file).parse());
  return file;
}

GgufFile::GgufFile(GgufFile&& other) noexcept { *this = std::move(other); }

GgufFile& GgufFile::operator=(GgufFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  bytes_ = std::exchange(other.bytes_, {});
  stamp_ = other.stamp_;
  mapping_ = std::exchange(other.mapping_, nullptr);
  version_ = other.version_;
  alignment_ = other.alignment_;
  metadata_ = std::move(other.metadata_);
  strings_ = std::move(other.strings_);
  tensors_ = std::move(other.tensors_);
  key_order_ = std::move(other.key_order_);
  tensor_order_ = std::move(other.tensor_order_);
  return *this;
}

GgufFile::~GgufFile() { unmap(); }

void GgufFile::unmap() {
  if (mapping_) ::munmap(mapping_, bytes_.size());
  mapping_ = nullptr;
}

std::uint64_t GgufFile::data_begin() const {
  std::uint64_t begin = bytes_.size();
  for (const GgufTensor& tensor : tensors_)
    begin = std::min(begin, static_cast<std::uint64_t>(tensor.data.data() - bytes_.data()));
  return begin;
}

void GgufFile::release_data() const {
  if (mapping_ == nullptr) return;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t from = (data_begin() + page - 1) / page * page;
  if (from < bytes_.size())
    ::madvise(static_cast<std::byte*>(mapping_) + from, bytes_.size() - from, MADV_DONTNEED);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto name = [&](std::uint32_t i) { return metadata_[i].first; };
  const std::size_t at = find_name(key_order_, key, name);
  return at < metadata_.size() ? &metadata_[at].second : nullptr;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const std::size_t at =
      find_name(tensor_order_, name, [&](std::uint32_t i) { return tensors_[i].name; });
  return at < tensors_.size() ? &tensors_[at] : nullptr;
}

Error GgufFile::wrong_kind(std::string_view key, std::string found, std::string expected) const {
  return {.code = Code::kInvalidArgument,
          .id = "TENON-F021",
          .message = "the key \"" + std::string(key) + "\" does not hold what is needed",
          .where = path_,
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = "convert the model again with a current converter"};
}

Result<const GgufValue*> GgufFile::get(std::string_view key, GgufKind kind) const {
  const GgufValue* value = find(key);
  if (!value) {
    const std::string near =
        nearest(key, metadata_, [](const auto& entry) -> std::string_view { return entry.first; });
    return Error{
        .code = Code::kNotFound,
        .id = "TENON-F020",
        .message = "the file has no key \"" + std::string(key) + "\"",
        .where = path_,
        .found = near.empty() ? "no key of a similar name" : "the nearest, \"" + near + "\"",
        .expected = std::string(gguf_kind_name(kind)),
        .fix = "use a model file of a supported architecture"};
  }
  if (value->kind != kind)
    return wrong_kind(key, std::string(gguf_kind_name(value->kind)),
                      std::string(gguf_kind_name(kind)));
  return value;
}

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  if (const GgufValue* value = find(key); value && value->kind == GgufKind::kInt) {
    if (value->i < 0) return wrong_kind(key, std::to_string(value->i), "a value of at least 0");
    return static_cast<std::uint64_t>(value->i);
  }
  TENON_ASSIGN(const GgufValue* value, get(key, GgufKind::kUint));
  return value->u;
}

Result<double> GgufFile::get_float(std::string_view key) const {
  TENON_ASSIGN(const GgufValue* value, get(key, GgufKind::kFloat));
  return value->f;
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  TENON_ASSIGN(const GgufValue* value, get(key, GgufKind::kBool));
  return value->b;
}

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  TENON_ASSIGN(const GgufValue* value, get(key, GgufKind::kString));
  return value->s;
}

Result<const GgufArray*> GgufFile::get_array(std::string_view key, bool (*fits)(GgufKind),
                                             std::string_view expected) const {
  TENON_ASSIGN(const GgufValue* value, get(key, GgufKind::kArray));
  if (!fits(value->array.element))
    return wrong_kind(key, "an array of " + std::string(gguf_kind_name(value->array.element)),
                      "an array of " + std::string(expected));
  return &value->array;
}

Result<std::span<const std::string_view>> GgufFile::get_strings(std::string_view key) const {
  const auto fits = [](GgufKind kind) { return kind == GgufKind::kString; };
  TENON_ASSIGN(const GgufArray* array, get_array(key, fits, "string"));
  return std::span(strings_).subspan(array->first_string, array->count);
}

Result<std::vector<std::int64_t>> GgufFile::get_ints(std::string_view key) const {
  const auto fits = [](GgufKind kind) { return kind == GgufKind::kUint || kind == GgufKind::kInt; };
  TENON_ASSIGN(const GgufArray* array, get_array(key, fits, "integers"));
  std::vector<std::int64_t> out(array->count);
  for (std::uint64_t i = 0; i < array->count; ++i) {
    out[i] = integer_at(*array, i);
    if (out[i] < 0 && array->element == GgufKind::kUint)
      return wrong_kind(key, "a value above 2^63", "values that fit a signed 64-bit integer");
  }
  return out;
}

Result<std::vector<double>> GgufFile::get_floats(std::string_view key) const {
  const auto fits = [](GgufKind kind) { return kind == GgufKind::kFloat; };
  TENON_ASSIGN(const GgufArray* array, get_array(key, fits, "float"));
  std::vector<double> out(array->count);
  for (std::uint64_t i = 0; i < array->count; ++i)
    out[i] = array->width == 4 ? load<float>(*array, i) : load<double>(*array, i);
  return out;
}

Result<const GgufTensor*> GgufFile::get_tensor(std::string_view name) const {
  if (const GgufTensor* tensor = find_tensor(name)) return tensor;
  const std::string near =
      nearest(name, tensors_, [](const GgufTensor& tensor) { return tensor.name; });
  return Error{
      .code = Code::kNotFound,
      .id = "TENON-F022",
      .message = "the file has no tensor \"" + std::string(name) + "\"",
      .where = path_,
      .found = near.empty() ? "no tensor of a similar name" : "the nearest, \"" + near + "\"",
      .expected = "a tensor of that name",
      .fix = "use a model file of a supported architecture"};
}

}  // namespace tenon
