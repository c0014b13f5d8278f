#include "core/plugin/host_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/plugin/host_config.pb.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

class FirstError : public pb::io::ErrorCollector {
 public:
  void AddError(int line, int, const std::string& message) override {
    if (!text.empty()) return;
    at = line + 1;
    text = message;
  }
  void AddWarning(int, int, const std::string&) override {}
  std::string text;
  int at = 0;
};

Error impossible(const std::string& source, const char* field, std::string found,
                 std::string expected) {
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P112",
               .message = std::string("the host configuration's ") + field + " cannot be",
               .where = source,
               .found = std::move(found),
               .expected = std::move(expected),
               .fix = "correct it; docs/operate/trust.md lists the fields"};
}

// An environment variable, unless the process runs with more rights than who started it.
std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

Result<HostConfig> parse_host_config(std::string_view text, const std::string& source) {
  host::v1::HostConfig message;
  FirstError error;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(std::string(text), &message))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-P111",
                 .message = "the host configuration cannot be read: " + error.text,
                 .where = source + ":" + std::to_string(error.at),
                 .expected = "fields of docs/operate/trust.md; profile: DEVELOPMENT or PRODUCTION",
                 .fix = "correct the line"};
  HostConfig out;
  out.source = source;
  out.production = message.profile() == host::v1::HostConfig::PRODUCTION;
  out.plugin_directories.assign(message.plugin_directory().begin(),
                                message.plugin_directory().end());
  out.allow_imports.assign(message.allow_import().begin(), message.allow_import().end());
  out.store = message.store();
  out.require_pins = message.has_require_pins() ? message.require_pins() : out.production;
  if (message.has_allow_untested()) out.allow_untested = message.allow_untested();
  if (message.has_check_boundary()) out.check_boundary = message.check_boundary();
  if (message.has_max_images()) out.max_images = message.max_images();
  for (const std::string& directory : out.plugin_directories)
    if (!fs::path(directory).is_absolute())
      return impossible(source, "plugin_directory", directory, "an absolute path");
  if (!out.store.empty() && !fs::path(out.store).is_absolute())
    return impossible(source, "store", out.store, "an absolute path");
  if (out.max_images == 0) return impossible(source, "max_images", "0", "at least 1");
  return out;
}

Result<HostConfig> read_host_config(const std::string& path) {
  struct stat of {};
  if (::stat(path.c_str(), &of) == 0 && S_ISREG(of.st_mode) &&
      ((of.st_uid != 0 && of.st_uid != ::geteuid()) || (of.st_mode & (S_IWGRP | S_IWOTH)) != 0))
    return Error{
        .code = Code::kPermissionDenied,
        .id = "TENON-P113",
        .message = "others may change the host configuration, which decides what is trusted",
        .where = path,
        .found = "user " + std::to_string(of.st_uid) + ", writable by " +
                 ((of.st_mode & S_IWOTH) != 0   ? "anyone"
                  : (of.st_mode & S_IWGRP) != 0 ? "its group"
                                                : "its owner"),
        .expected =
            "a file of root or of the user that runs the engine, which nobody "
            "else may write to",
        .fix = "chown it, and chmod go-w " + path};
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  // A folder opens like a file and fails when it is read; an empty file is good and gives no byte.
  const bool is_empty = file.peek() == std::ifstream::traits_type::eof() && !file.bad();
  if (!file.is_open() || file.bad() || (!is_empty && !(text << file.rdbuf())))
    return Error{.code = Code::kNotFound,
                 .id = "TENON-P110",
                 .message = "the host configuration cannot be read",
                 .where = path,
                 .found = std::strerror(errno),
                 .expected = "a readable file",
                 .fix = "name a file that exists, or none for the defaults"};
  return parse_host_config(std::move(text).str(), path);
}

Result<HostConfig> find_host_config() {
  if (const std::string named = environment("TENON_HOST_CONFIG"); !named.empty())
    return read_host_config(named);
  std::vector<std::string> places;
  if (const std::string config = environment("XDG_CONFIG_HOME"); !config.empty())
    places.push_back(config + "/tenon/host.textproto");
  else if (const std::string home = environment("HOME"); !home.empty())
    places.push_back(home + "/.config/tenon/host.textproto");
  places.emplace_back("/etc/tenon/host.textproto");
  for (const std::string& place : places) {
    // One that is there and cannot be looked at is no reason to go on without its rules.
    std::error_code failed;
    if (fs::exists(place, failed) || failed) return read_host_config(place);
  }
  return HostConfig();
}

Result<std::string> default_store() {
  if (const std::string state = environment("TENON_STATE_DIR"); !state.empty())
    return state + "/plugins";
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty())
    return state + "/tenon/plugins";
  if (const std::string home = environment("HOME"); !home.empty())
    return home + "/.local/state/tenon/plugins";
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-P130",
               .message = "there is no place to keep plugins in",
               .found = "neither TENON_STATE_DIR nor XDG_STATE_HOME nor HOME is set",
               .fix = "set one of them, or `store` in the host configuration"};
}

}  // namespace tenon
