#include "apps/tenon/new_project.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "core/base/suggest.h"
#include "core/plugin/descriptor.h"

namespace fs = std::filesystem;

namespace tenon::app {
namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::string_view kShared = "project", kSuffixC = "-c";

// The kinds that have a template in that language, sorted.
std::vector<std::string> kinds_of(const std::string& templates, bool c) {
  std::vector<std::string> kinds;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(templates, error)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(kShared) || name.ends_with(kSuffixC) != c) continue;
    kinds.push_back(c ? name.substr(0, name.size() - kSuffixC.size()) : name);
  }
  std::sort(kinds.begin(), kinds.end());
  return kinds;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || name.back() == '-') return false;
  if (name.front() < 'a' || name.front() > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Status check_template(const NewProject& wish, const std::string& templates) {
  const std::vector<std::string> in_cxx = kinds_of(templates, false),
                                 in_c = kinds_of(templates, true);
  if (in_cxx.empty())
    return Error{.code = Code::kNotFound,
                 .id = "TENON-A050",
                 .message = "the templates of this installation are not there",
                 .where = templates,
                 .fix = "install Tenon again: cmake --install build/release --prefix PREFIX"};
  if (!contains(in_cxx, wish.kind))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A051",
                 .message = "there is no such kind of plugin",
                 .where = "tenon new",
                 .found = "\"" + wish.kind + "\"",
                 .expected = "one of " + list_text(in_cxx),
                 .fix = suggest_fix(wish.kind, in_cxx)};
  if (wish.language == "c" && !contains(in_c, wish.kind))
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-A052",
                 .message = "there is no template in C for this kind",
                 .where = "tenon new",
                 .found = "\"" + wish.kind + "\"",
                 .expected = "one of " + list_text(in_c),
                 .fix = "leave out --lang; the boundary itself is C for every kind"};
  return {};
}

Status check_names(const NewProject& wish, const std::string& id) {
  if (!is_name(wish.name))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A053",
                 .message = "this cannot be the name of a project",
                 .where = "tenon new",
                 .found = "\"" + wish.name + "\"",
                 .expected =
                     "a to z, 0 to 9 and '-', beginning with a letter, not ending with '-', "
                     "at most " +
                     std::to_string(kLongestName) + " characters",
                 .fix = "choose another, e.g. my-" + wish.kind};
  if (!is_plugin_id(id))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A054",
                 .message = "this cannot be a plugin's id",
                 .where = "tenon new",
                 .found = "\"" + id + "\"",
                 .expected = "lower-case parts with dots between, at least two",
                 .fix = "begin with a domain of yours, e.g. org.example." + wish.name};
  return {};
}

Error cannot_write(const fs::path& path, const std::string& why) {
  return Error{.code = Code::kPermissionDenied,
               .id = "TENON-A056",
               .message = "cannot write the project",
               .where = path.string(),
               .found = why,
               .fix = "make the folder writable, or name another with --dir"};
}

std::string filled(std::string text, const std::string& name, const std::string& id) {
  const std::pair<std::string_view, const std::string&> values[] = {{"@NAME@", name}, {"@ID@", id}};
  for (const auto& [placeholder, value] : values)
    for (std::size_t at = 0; (at = text.find(placeholder, at)) != std::string::npos;
         at += value.size())
      text.replace(at, placeholder.size(), value);
  return text;
}

Status copy_file(const fs::path& from, const fs::path& to, const std::string& name,
                 const std::string& id) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  std::ifstream in(from, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  errno = 0;
  std::ofstream out(to, std::ios::binary);
  out << filled(text, name, id);
  out.close();
  if (!in || !out) return cannot_write(to, std::strerror(errno));
  fs::permissions(to, fs::status(from, error).permissions(), error);
  return {};
}

// The files of one template folder; those of a later one would replace them.
Status copy_folder(const fs::path& from, const NewProject& wish, CreatedProject& made) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from, error)) {
    if (!entry.is_regular_file()) continue;
    const fs::path relative = entry.path().lexically_relative(from);
    TENON_TRY(copy_file(entry.path(), fs::path(made.folder) / relative, wish.name, made.id));
    made.files.push_back(relative.string());
  }
  return {};
}

Status copy_all(const std::string& templates, const NewProject& wish, CreatedProject& made) {
  const std::string shared(kShared);
  for (const std::string& folder :
       {shared, shared + "-" + wish.language,
        wish.kind + (wish.language == "c" ? std::string(kSuffixC) : "")})
    TENON_TRY(copy_folder(fs::path(templates) / folder, wish, made));
  return {};
}

}  // namespace

Result<CreatedProject> create_project(const NewProject& wish, const std::string& templates) {
  CreatedProject made;
  made.id = wish.id.empty() ? "org.example." + wish.name : wish.id;
  TENON_TRY(check_template(wish, templates));
  TENON_TRY(check_names(wish, made.id));
  made.folder = (fs::path(wish.parent) / wish.name).lexically_normal().string();
  std::error_code error;
  if (fs::exists(fs::symlink_status(made.folder, error)))
    return Error{.code = Code::kAlreadyExists,
                 .id = "TENON-A055",
                 .message = "there is something of that name already; nothing was changed",
                 .where = made.folder,
                 .fix = "choose another name, or another folder with --dir"};
  fs::create_directories(made.folder, error);
  if (error) return cannot_write(made.folder, error.message());
  if (Status copied = copy_all(templates, wish, made); !copied.ok()) {
    fs::remove_all(made.folder, error);
    return copied.take_error();
  }
  std::sort(made.files.begin(), made.files.end());
  return made;
}

}  // namespace tenon::app
