// An instance of the plugin under test, with a host of its own around it.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/stripe_pool.h"
#include "core/conform/test.h"
#include "core/iface/proxy.h"
#include "core/iface/tables.h"
#include "core/load/rank.h"
#include "core/plugin/instance.h"

namespace tenon::conform {

// tenon.threads/1 works; every other service of a host is there and its calls fail.
class Rig {
 public:
  struct Options {
    std::vector<ManifestParam> params;  // beside the subject's
    // Calls go through the checking proxy: a misuse of the boundary is an error that says whose.
    bool checked = true;
    std::uint32_t threads = 1, stripes_per_thread = 3;
  };
  static Result<std::unique_ptr<Rig>> open(const Subject& subject, const Options& options);
  // With all of its parameters given.
  static Result<std::unique_ptr<Rig>> open(const PluginFile& file, ResolvedParams params,
                                           const Options& options);
  static Result<std::unique_ptr<Rig>> open(const Subject& subject) { return open(subject, {}); }
  // The host alone.
  static std::unique_ptr<Rig> without_instance() {
    return std::unique_ptr<Rig>(new Rig(Options()));
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  void finish_commands() { pool_.wait(); }  // of tenon.threads/1

  const PluginInstance& instance() const { return *instance_; }
  const tenon_host& host() const { return host_; }
  // The instance's table, wrapped: as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID).
  template <class Wrapper, class Table>
  Result<Wrapper> as(const char* id) const {
    return wrap_plugin<Wrapper, Table>(*instance_, id);
  }
  // Around the calls of a step: what was lent for it is poisoned when it ends.
  void begin_step() { boundary_.begin_step(); }
  Status end_step() { return boundary_.end_step(); }
  const std::set<std::string>& services_asked() const { return asked_; }  // by their ids

 private:
  explicit Rig(const Options& options);
  const void* service(std::string_view id);

  // tenon.threads/1
  void submit(tenon_stripe_fn function, const void* args, std::uint64_t bytes,
              std::uint32_t stripes) {
    pool_.submit(function, args, bytes, stripes);
  }
  void wait() { pool_.wait(); }
  std::uint32_t count() { return pool_.threads(); }
  std::uint32_t stripes_per_thread() { return pool_.stripes_per_thread(); }
  template <class T>
  friend tenon_threads_v1 iface::make_threads_table(T*);

  StripePool pool_;
  tenon_threads_v1 threads_ = iface::make_threads_table(this);
  iface::Boundary boundary_{false};
  iface::Party* party_ = nullptr;  // null: not checked
  const tenon_threads_v1* lent_threads_ = nullptr;
  std::set<std::string> asked_;
  tenon_host host_{};
  std::unique_ptr<PluginInstance> instance_;
};

}  // namespace tenon::conform
