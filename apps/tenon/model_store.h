// The models that Tenon knows by name, and the folder that holds those already here.
//
// A model is fetched as Python packages, by pip: registries, proxies and credentials are the
// user's own configuration of pip. A file that is too large for one package comes in parts. A file
// appears under its final name only when it is complete, its SHA-256 is the known one and it is on
// disk; any number of processes may pull at once.
//
//   CACHE/models/NAME/FILE     the model
//   CACHE/models/NAME/TERMS    what its licence asks to be handed on, where it does
//   CACHE/models/NAME/.lock    held by the process that pulls
//   CACHE/models/NAME/.part-*  work in progress; leftovers are removed by the next pull
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

// A member of a Python package's wheel.
struct PackagedFile {
  std::string package, version;
  std::string member;  // path inside the wheel
  std::uint64_t bytes = 0;
  std::string requirement() const { return package + "==" + version; }
};

struct KnownModel {
  std::string name;
  std::string file;                 // its name in the cache
  std::vector<PackagedFile> parts;  // the file is these, one after the other
  std::uint64_t bytes = 0;          // of the file
  std::uint64_t package_bytes = 0;  // of all packages, for disk space and the progress display
  std::string sha256;               // of the file
  std::string license;
  std::string about;
  std::optional<PackagedFile> terms;  // kept beside the model under its own name
};

std::span<const KnownModel> known_models();

// $XDG_CACHE_HOME/tenon, else ~/.cache/tenon; empty when there is neither.
std::string default_cache_dir();

struct PullProgress {
  enum class Phase { kWaiting, kDownloading, kUnpacking };
  Phase phase = Phase::kDownloading;
  std::uint64_t done = 0, total = 0;  // bytes
};

struct StoreOptions {
  std::string cache_dir;  // empty: $XDG_CACHE_HOME/tenon, else ~/.cache/tenon
  std::vector<std::string> pythons = {"python3", "/usr/bin/python3"};  // the first that has pip
  std::function<void(const PullProgress&)> progress;                   // may be empty
  std::function<bool()> keep_going;  // may be empty; false: stop, leave nothing
};

struct Pulled {
  std::string path;
  std::string terms;        // path of the terms of use; empty: the licence asks for none
  bool downloaded = false;  // false: it was here
};

class ModelStore {
 public:
  // TENON-A011 when there is no place for a cache.
  static Result<ModelStore> open(StoreOptions options = {});

  std::string path_of(const KnownModel& model) const;
  std::string terms_path_of(const KnownModel& model) const;  // empty: there are none
  // Files of the right sizes are there. The model's checksum was verified before it got its name.
  bool has(const KnownModel& model) const;

  // Fetches what is not there. `check_again` reads a file that is there and fetches it anew when
  // its checksum is wrong.
  //   A011 the cache cannot be written    A012 no space      A013 no Python with pip
  //   A014 the download failed            A015 bad package   A016 wrong checksum
  //   A017 interrupted
  Result<Pulled> pull(const KnownModel& model, bool check_again) const;

 private:
  explicit ModelStore(StoreOptions options) : options_(std::move(options)) {}

  Result<std::string> download(const KnownModel& model, const PackagedFile& from,
                               const std::string& target, const std::string& work_dir) const;
  Status unpack(const KnownModel& model, std::span<const std::string> wheels,
                const std::string& file) const;
  Status unpack_terms(const KnownModel& model, const std::string& wheel,
                      const std::string& file) const;
  Status fetch(const KnownModel& model, const std::string& work_dir) const;
  Status enough_space(const KnownModel& model, const std::string& folder) const;
  void report(PullProgress::Phase phase, std::uint64_t done, std::uint64_t total) const;
  bool going() const { return !options_.keep_going || options_.keep_going(); }

  StoreOptions options_;
};

// TENON-A010 with the nearest known name.
Result<KnownModel> find_model(const std::string& name);

// The path of a known model's file, pulled first when it is not here: what `run` calls.
Result<std::string> ensure_model(const std::string& name,
                                 std::function<void(const PullProgress&)> progress);

}  // namespace tenon::app
