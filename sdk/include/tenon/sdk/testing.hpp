// For tests of a plugin from outside, through its library and its table, without an engine: opens
// the library, makes an instance, and stands in for the host's services. A check that fails says
// where and ends the program with exit code 1.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace tenon::sdk::testing {

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::exit(1);
}

#define TENON_CHECK(condition) \
  ((condition) ? void() : tenon::sdk::testing::fail(__FILE__, __LINE__, "not so: " #condition))
#define TENON_CHECK_OK(status)                                                               \
  do {                                                                                       \
    if (const tenon::sdk::Status tenon_status_ = (status); !tenon_status_.ok())              \
      tenon::sdk::testing::fail(__FILE__, __LINE__, #status ": " + tenon_status_.message()); \
  } while (0)

// Calls a slot of a table with a call record and gives its outcome:
//   outcome([&](tenon_call* call) { return table->plan(self, &view, &plan, call); })
inline Status outcome(const std::function<tenon_status(tenon_call*)>& slot) {
  CallScope scope;
  return scope.finish(slot(scope.call()));
}

// The values of an instance's parameters, each of them: a plugin is never asked to know defaults.
class GivenParams {
 public:
  GivenParams& set(const std::string& key, std::int64_t value) {
    return add(key, TENON_PARAM_TYPE_INT64).i = value, *this;
  }
  GivenParams& set(const std::string& key, int value) { return set(key, std::int64_t{value}); }
  GivenParams& set(const std::string& key, bool value) {
    return add(key, TENON_PARAM_TYPE_BOOL).i = value ? 1 : 0, *this;
  }
  GivenParams& set(const std::string& key, double value) {
    return add(key, TENON_PARAM_TYPE_DOUBLE).d = value, *this;
  }
  GivenParams& set(const std::string& key, const char* value) {
    texts_.push_back(std::make_unique<std::string>(value));
    return add(key, TENON_PARAM_TYPE_STRING).s = str_of(*texts_.back()), *this;
  }
  const std::vector<tenon_param>& values() const { return values_; }

 private:
  tenon_param_value& add(const std::string& key, tenon_param_type type) {
    texts_.push_back(std::make_unique<std::string>(key));
    values_.push_back({str_of(*texts_.back()), type, 0, {}});
    return values_.back().value;
  }
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<tenon_param> values_;
};

// A host with the services that a test gives it; what a plugin logs goes to stderr.
class FakeHost {
 public:
  FakeHost& offer(const std::string& id, const void* table) {
    services_[id] = table;
    return *this;
  }
  const tenon_host* host() {
    host_ = {{sizeof host_, 0, nullptr},
             this,
             [](void*, std::int32_t severity, tenon_str text) {
               std::fprintf(stderr, "log %d: %.*s\n", static_cast<int>(severity),
                            static_cast<int>(text.len), text.ptr);
             },
             [](void* ctx, const char* id) -> const void* {
               const auto& services = static_cast<FakeHost*>(ctx)->services_;
               const auto at = services.find(id);
               return at == services.end() ? nullptr : at->second;
             }};
    return &host_;
  }

 private:
  std::map<std::string, const void*> services_;
  tenon_host host_{};
};

// One instance of the plugin in a library. The library stays open.
template <class Table>
class OpenedPlugin {
 public:
  OpenedPlugin(const char* path, const char* interface_id, FakeHost& host,
               const GivenParams& params = {}) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) fail(path, 0, dlerror());
    const auto entry =
        reinterpret_cast<const tenon_plugin_v1* (*)()>(dlsym(library, TENON_ENTRY_SYMBOL));
    if (entry == nullptr) fail(path, 0, dlerror());
    plugin_ = entry();
    const tenon_create_args args{{sizeof args, 0, nullptr},
                                 host.host(),
                                 str_of("under.test"),
                                 params.values().data(),
                                 params.values().size()};
    TENON_CHECK_OK(outcome([&](tenon_call* call) { return plugin_->create(&args, &self_, call); }));
    table_ = static_cast<const Table*>(plugin_->get_interface(self_, interface_id));
    if (table_ == nullptr) fail(path, 0, std::string("no interface ") + interface_id);
  }
  OpenedPlugin(const OpenedPlugin&) = delete;
  OpenedPlugin& operator=(const OpenedPlugin&) = delete;
  ~OpenedPlugin() { plugin_->destroy(self_); }
  const Table* operator->() const { return table_; }
  tenon_instance* self() const { return self_; }

 private:
  const tenon_plugin_v1* plugin_ = nullptr;
  tenon_instance* self_ = nullptr;
  const Table* table_ = nullptr;
};

// tenon.threads/1 with the calling thread alone: a command is complete when submit returns. Cut
// into three stripes, so that code that cares for their number shows it.
inline const tenon_threads_v1* inline_threads() {
  static constexpr tenon_threads_v1 kTable = {
      {sizeof(tenon_threads_v1), 0, nullptr},
      nullptr,
      [](void*, tenon_stripe_fn function, const void* args, std::uint64_t, std::uint32_t stripes) {
        for (std::uint32_t i = 0; i < stripes; ++i) function(args, i, stripes, 0);
      },
      [](void*) {},
      [](void*) -> std::uint32_t { return 1; },
      [](void*) -> std::uint32_t { return 3; }};
  return &kTable;
}

// tenon.ops/1 that computes nothing: it hands out handles, keeps a list of what was called, and
// counts the handles that have not come back.
class RecordingOps {
 public:
  RecordingOps() {
    table_ = {{sizeof table_, 0, nullptr},
              this,
              [](void* ctx, const tenon_hdr* op, tenon_tensor* const*, std::uint32_t,
                 tenon_tensor** out, std::uint32_t n_out, tenon_call*) -> tenon_status {
                auto& ops = *static_cast<RecordingOps*>(ctx);
                ops.called_.push_back(static_cast<int>(op->type));
                for (std::uint32_t i = 0; i < n_out; ++i) out[i] = ops.make();
                return TENON_OK;
              },
              [](void* ctx, std::int32_t, tenon_tensor*, tenon_tensor*, tenon_tensor*,
                 tenon_tensor** out, tenon_call*) -> tenon_status {
                auto& ops = *static_cast<RecordingOps*>(ctx);
                ops.called_.push_back(kAttention);
                *out = ops.make();
                return TENON_OK;
              },
              [](void*, std::uint32_t, tenon_tensor*) {},
              [](void* ctx, tenon_tensor* tensor) {
                auto& ops = *static_cast<RecordingOps*>(ctx);
                TENON_CHECK(tensor != nullptr);
                --ops.held_;
              }};
  }
  RecordingOps(const RecordingOps&) = delete;
  RecordingOps& operator=(const RecordingOps&) = delete;

  static constexpr int kAttention = -1;  // in called(): the core's attention, which is no op id
  const tenon_ops_v1* table() const { return &table_; }
  tenon_tensor* make() {
    ++held_;
    return reinterpret_cast<tenon_tensor*>(static_cast<std::uintptr_t>(++made_));
  }
  const std::vector<int>& called() const { return called_; }  // tenon_op, or kAttention
  std::int64_t held() const { return held_; }

 private:
  tenon_ops_v1 table_{};
  std::vector<int> called_;
  std::int64_t made_ = 0, held_ = 0;
};

// tenon.builder/1 over a model file that a test makes up: metadata, and the shapes of tensors. It
// keeps what the model declares.
class MadeUpModel {
 public:
  std::map<std::string, std::uint64_t> numbers;
  std::map<std::string, double> reals;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> tensors;  // rows, values in a row

  std::vector<std::string> sites, params, ports;
  std::uint32_t groups = 0;
  tenon_decoder stream{};
  tenon_attention_geometry geometry{};  // of_layer is not kept

  MadeUpModel() {
    table_ = {{sizeof table_, 0, nullptr},
              this,
              &get<&MadeUpModel::numbers, std::uint64_t>,
              &get<&MadeUpModel::reals, double>,
              &get_text,
              &has_key,
              &tensor_shape,
              &site,
              &param,
              &port,
              &linear_group,
              &attention,
              &decoder};
  }
  MadeUpModel(const MadeUpModel&) = delete;
  MadeUpModel& operator=(const MadeUpModel&) = delete;
  const tenon_builder_v1* table() const { return &table_; }

 private:
  static MadeUpModel& of(void* ctx) { return *static_cast<MadeUpModel*>(ctx); }
  static std::string key_of(tenon_str key) { return std::string(text_of(key)); }
  static tenon_status missing(tenon_call* call, tenon_str name) {
    return report(call, TENON_NOT_FOUND, "the file has no \"" + key_of(name) + "\"");
  }

  template <auto Map, class Value>
  static tenon_status get(void* ctx, tenon_str key, Value* out, tenon_call* call) {
    const auto& map = of(ctx).*Map;
    const auto at = map.find(key_of(key));
    if (at == map.end()) return missing(call, key);
    *out = at->second;
    return TENON_OK;
  }
  static tenon_status get_text(void* ctx, tenon_str key, tenon_str* out, tenon_call* call) {
    const auto at = of(ctx).texts.find(key_of(key));
    if (at == of(ctx).texts.end()) return missing(call, key);
    *out = str_of(at->second);
    return TENON_OK;
  }
  static std::int32_t has_key(void* ctx, tenon_str key) {
    const MadeUpModel& m = of(ctx);
    const std::string name = key_of(key);
    return m.numbers.count(name) + m.reals.count(name) + m.texts.count(name) > 0 ? 1 : 0;
  }
  static std::int32_t tensor_shape(void* ctx, tenon_str name, std::int64_t* n, std::int64_t* k) {
    const auto at = of(ctx).tensors.find(key_of(name));
    if (at == of(ctx).tensors.end()) return 0;
    *n = at->second.first;
    *k = at->second.second;
    return 1;
  }
  static tenon_status site(void* ctx, const tenon_site* site, std::uint32_t* out,
                           tenon_call* call) {
    MadeUpModel& m = of(ctx);
    const auto at = m.tensors.find(key_of(site->name));
    if (at == m.tensors.end()) return missing(call, site->name);
    if (at->second != std::pair(site->n, site->k))
      return report(call, TENON_INVALID_ARGUMENT, "another shape: " + key_of(site->name));
    m.sites.push_back(key_of(site->name));
    *out = static_cast<std::uint32_t>(m.sites.size() + m.params.size() - 1);
    return TENON_OK;
  }
  static tenon_status param(void* ctx, tenon_str name, std::int64_t n, std::uint32_t* out,
                            tenon_call* call) {
    MadeUpModel& m = of(ctx);
    const auto at = m.tensors.find(key_of(name));
    if (at == m.tensors.end()) return missing(call, name);
    if (at->second != std::pair(std::int64_t{1}, n))
      return report(call, TENON_INVALID_ARGUMENT, "another shape: " + key_of(name));
    m.params.push_back(key_of(name));
    *out = static_cast<std::uint32_t>(m.sites.size() + m.params.size() - 1);
    return TENON_OK;
  }
  static tenon_status port(void* ctx, tenon_str name, std::uint32_t* out, tenon_call*) {
    of(ctx).ports.push_back(key_of(name));
    *out = static_cast<std::uint32_t>(of(ctx).ports.size() - 1);
    return TENON_OK;
  }
  static tenon_status linear_group(void* ctx, const tenon_linear_group*, std::uint32_t* out,
                                   tenon_call*) {
    *out = of(ctx).groups++;
    return TENON_OK;
  }
  static tenon_status attention(void* ctx, const tenon_attention_geometry* geometry, tenon_call*) {
    of(ctx).geometry = *geometry;
    of(ctx).geometry.of_layer = nullptr;
    return TENON_OK;
  }
  static tenon_status decoder(void* ctx, const tenon_decoder* decoder, tenon_call*) {
    of(ctx).stream = *decoder;
    return TENON_OK;
  }

  tenon_builder_v1 table_{};
};

}  // namespace tenon::sdk::testing
