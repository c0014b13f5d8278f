#include "core/format/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/format/utf8.h"

namespace tenon {
namespace {

constexpr std::string_view kMetadata = "__metadata__";

class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  SafetensorsHeader header;
  Error error;  // when reading stopped

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kFile:
        return enter(State::kNames);
      case State::kEntry:
        fields_ = 0;
        return enter(State::kFields);
      case State::kMetadata:
        return enter(State::kMetadataKeys);
      default:
        return wrong("an object");
    }
  }

  bool end_object() override {
    if (state_ == State::kNames) return enter(State::kEnd);
    if (state_ == State::kFields && fields_ != kAllFields)
      return fail("TENON-F066", "a tensor lacks a field", fields_text(fields_),
                  fields_text(kAllFields));
    return enter(State::kNames);  // of a tensor or of the metadata
  }

  bool key(std::string& text) override {
    if (state_ == State::kNames) {
      entry_ = text;
      if (text == kMetadata) {
        if (std::exchange(has_metadata_, true)) return duplicate(text);
        return enter(State::kMetadata);
      }
      header.entries.emplace_back().name = std::move(text);
      return enter(State::kEntry);
    }
    if (state_ == State::kMetadataKeys) {
      header.metadata.emplace_back(std::move(text), "");
      return enter(State::kMetadataValue);
    }
    return field(text);
  }

  bool string(std::string& text) override {
    if (state_ == State::kMetadataValue) {
      header.metadata.back().second = std::move(text);
      return enter(State::kMetadataKeys);
    }
    if (state_ != State::kDtype) return wrong("a string");
    header.entries.back().dtype = std::move(text);
    return enter(State::kFields);
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kShape) return enter(State::kShapeItems);
    if (state_ != State::kOffsets) return wrong("an array");
    offsets_read_ = 0;
    return enter(State::kOffsetItems);
  }

  bool end_array() override {
    if (state_ == State::kOffsetItems && offsets_read_ != 2)
      return wrong(std::to_string(offsets_read_) + " offsets");
    return enter(State::kFields);
  }

  bool number_unsigned(std::uint64_t value) override {
    if (state_ == State::kShapeItems) {
      header.entries.back().shape.push_back(value);
      return true;
    }
    if (state_ != State::kOffsetItems) return wrong("a number");
    if (offsets_read_ == 2) return wrong("more than 2 offsets");
    header.entries.back().offsets[offsets_read_++] = value;
    return true;
  }

  bool number_integer(std::int64_t value) override { return wrong(std::to_string(value)); }
  bool number_float(double, const std::string& text) override {
    return wrong(quote_for_message(text));
  }
  bool null() override { return wrong("null"); }
  bool boolean(bool value) override { return wrong(value ? "true" : "false"); }
  bool binary(nlohmann::json::binary_t&) override { return wrong("binary data"); }

  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    return no_json(at);
  }
  bool no_json(std::size_t at) {
    return fail("TENON-F063", "the header is not JSON",
                "an error at byte " + std::to_string(at) + " of it",
                "a JSON object in UTF-8, from its first byte");
  }

  // Order of names, and no name twice.
  bool finish() {
    const auto by_name = [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
      return a.name < b.name;
    };
    std::sort(header.entries.begin(), header.entries.end(), by_name);
    for (std::size_t i = 1; i < header.entries.size(); ++i)
      if (header.entries[i - 1].name == header.entries[i].name)
        return duplicate(header.entries[i].name);
    std::sort(header.metadata.begin(), header.metadata.end());
    for (std::size_t i = 1; i < header.metadata.size(); ++i)
      if (header.metadata[i - 1].first == header.metadata[i].first)
        return duplicate(header.metadata[i].first);
    return true;
  }

 private:
  // What comes next.
  enum class State {
    kFile,
    kNames,
    kEntry,
    kFields,
    kDtype,
    kShape,
    kShapeItems,
    kOffsets,
    kOffsetItems,
    kMetadata,
    kMetadataKeys,
    kMetadataValue,
    kEnd,
  };
  static constexpr std::string_view kFields[] = {"dtype", "shape", "data_offsets"};
  static constexpr unsigned kAllFields = 7;

  static std::string fields_text(unsigned fields) {
    std::string out;
    for (unsigned i = 0; i < 3; ++i)
      if ((fields >> i & 1) != 0) out += (out.empty() ? "" : ", ") + std::string(kFields[i]);
    return out.empty() ? "none" : out;
  }

  bool field(const std::string& text) {
    constexpr State kNext[] = {State::kDtype, State::kShape, State::kOffsets};
    const auto at = std::find(std::begin(kFields), std::end(kFields), text) - std::begin(kFields);
    if (at == 3) return wrong("a field " + quote_for_message(text));
    if ((fields_ >> at & 1) != 0) return duplicate(text);
    fields_ |= 1u << at;
    return enter(kNext[at]);
  }

  static std::string_view expected(State state) {
    switch (state) {
      case State::kDtype:
        return "a string: the dtype";
      case State::kShape:
      case State::kShapeItems:
        return "an array of integers that are not negative: the shape";
      case State::kOffsets:
      case State::kOffsetItems:
        return "an array of 2 integers that are not negative: data_offsets";
      case State::kMetadataValue:
        return "a string: a value of __metadata__";
      case State::kFields:
        return "dtype, shape or data_offsets";
      default:
        return "an object";
    }
  }

  bool enter(State state) {
    state_ = state;
    return true;
  }
  bool wrong(std::string found) {
    return fail("TENON-F064", "the header has another structure than the format's",
                std::move(found), std::string(expected(state_)));
  }
  bool duplicate(const std::string& key) {
    return fail("TENON-F065", "the header has a key twice", quote_for_message(key),
                "each key once");
  }
  bool fail(std::string id, std::string message, std::string found, std::string wanted) {
    error = {.code = Code::kInvalidArgument,
             .id = std::move(id),
             .message = std::move(message),
             .where = path_ + (entry_.empty() ? "" : ", tensor " + quote_for_message(entry_)),
             .found = std::move(found),
             .expected = std::move(wanted),
             .fix = "write the file again, or fetch it again"};
    return false;
  }

  const std::string& path_;
  State state_ = State::kFile;
  std::string entry_;  // the name that is being read, for messages
  unsigned fields_ = 0;
  std::size_t offsets_read_ = 0;
  bool has_metadata_ = false;
};

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, const std::string& path) {
  HeaderReader reader(path);
  // The format asks for a brace; the JSON reader would also take a byte order mark or spaces, and
  // what stands before a zero byte for all there is.
  if (!json.starts_with('{')) reader.no_json(0);
  if (const std::size_t zero = json.find('\0'); zero != std::string_view::npos)
    reader.no_json(zero);
  if (!reader.error.id.empty() || !nlohmann::json::sax_parse(json, &reader) || !reader.finish())
    return std::move(reader.error);
  return std::move(reader.header);
}

}  // namespace tenon
