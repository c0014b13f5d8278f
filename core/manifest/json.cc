// What Protobuf's JSON reader does not tell: where a mistake stands, and that a key was given
// twice.
#include <nlohmann/json.hpp>
#include <set>

#include "core/manifest/checks.h"

namespace tenon::manifest_checks {
namespace {

// Follows the events of a parse and keeps only the keys of the objects that are open.
class KeyCheck : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    twice = name;
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    byte = position > 0 ? position - 1 : 0;
    message = error.what();
    return false;
  }

  std::size_t byte = 0;
  std::string message;
  std::string twice;
  bool deep = false;

 private:
  // Protobuf's reader recurses; a manifest is five levels deep.
  static constexpr std::size_t kMaxDepth = 32;
  bool open() {
    deep = keys_.size() >= kMaxDepth;
    keys_.emplace_back();
    return !deep;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  std::vector<std::set<std::string>> keys_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." without its
// prefix.
std::string reason(const std::string& what) {
  const std::size_t at = what.find(": ");
  return at == std::string::npos ? what : what.substr(at + 2);
}

}  // namespace

std::string place_of_byte(std::string_view text, const std::string& name, std::size_t byte) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < std::min(byte, text.size()); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n' ? 1 : 0;
  }
  return name + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string json_key_place(std::string_view text, const std::string& name, std::string_view key) {
  const std::size_t at = text.find("\"" + std::string(key) + "\"");
  return at == std::string_view::npos ? name : place_of_byte(text, name, at);
}

Status check_json(std::string_view text, const std::string& name) {
  KeyCheck check;
  try {
    if (nlohmann::json::sax_parse(text, &check)) return {};
  } catch (const std::exception& error) {
    check.message = error.what();
  }
  if (!check.twice.empty() || (check.message.empty() && !check.deep))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M005",
                 .message = "\"" + check.twice + "\" is given twice in one object",
                 .where = json_key_place(text, name, check.twice),
                 .fix = "keep one"};
  return Error{
      .code = Code::kInvalidArgument,
      .id = "TENON-M003",
      .message = check.deep ? "JSON nested too deep" : "not JSON: " + reason(check.message),
      .where = place_of_byte(text, name, check.byte)};
}

}  // namespace tenon::manifest_checks
