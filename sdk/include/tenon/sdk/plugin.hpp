// What a plugin's source includes. Derive from Plugin, write the methods of your interface's table
// (tables.hpp), and close with TENON_PLUGIN(MyClass, "tenon.scheduler/1", SchedulerTable).
#pragma once

#include <cstring>
#include <memory>
#include <string_view>

#include "tenon/sdk/tables.hpp"

namespace tenon::sdk {

inline std::string_view text_of(tenon_str value) { return {value.ptr, value.len}; }
inline tenon_str str_of(std::string_view value) { return {value.data(), value.size()}; }

// The parameters of an instance, checked and completed by the host against the descriptor.
class Params {
 public:
  explicit Params(const tenon_create_args& args) : args_(args) {}
  std::int64_t get_int(std::string_view key) const {
    return find(key, TENON_PARAM_TYPE_INT64).value.i;
  }
  bool get_bool(std::string_view key) const {
    return find(key, TENON_PARAM_TYPE_BOOL).value.i != 0;
  }
  double get_double(std::string_view key) const {
    return find(key, TENON_PARAM_TYPE_DOUBLE).value.d;
  }
  std::string_view get_string(std::string_view key) const {
    return text_of(find(key, TENON_PARAM_TYPE_STRING).value.s);
  }

 private:
  // A key that the descriptor does not list is the author's mistake; the trampoline reports it as
  // INTERNAL.
  const tenon_param& find(std::string_view key, tenon_param_type type) const {
    for (std::uint64_t i = 0; i < args_.n_params; ++i)
      if (text_of(args_.params[i].key) == key && args_.params[i].type == type)
        return args_.params[i];
    throw std::invalid_argument("the descriptor has no parameter \"" + std::string(key) +
                                "\" of the type that is read");
  }
  const tenon_create_args& args_;
};

class Host {
 public:
  explicit Host(const tenon_host* host) : host_(host) {}
  void log(int severity, std::string_view message) const {
    host_->log(host_->ctx, severity, str_of(message));
  }
  template <class Table>
  const Table* service(const char* id) const {
    return static_cast<const Table*>(host_->get_service(host_->ctx, id));
  }
  // As service(), but a host without it is an error that names the service.
  template <class Table>
  const Table* required(const char* id) const {
    const Table* table = service<Table>(id);
    if (table == nullptr) throw std::runtime_error(std::string("the host has no service ") + id);
    return table;
  }

 private:
  const tenon_host* host_;
};

// T is made from (const Host&, const Params&); a constructor that throws makes create() fail with
// the message.
template <class T, template <class> class Table>
const tenon_plugin_v1* plugin_entry(const char* const* interface_id) {
  static const char* id = *interface_id;
  static constexpr tenon_plugin_v1 kEntry = {
      {sizeof(tenon_plugin_v1), 0, nullptr},
      TENON_ABI_EPOCH,
      0,
      [](const tenon_create_args* args, tenon_instance** out,
         tenon_call* call) noexcept -> tenon_status {
        return guarded(call, [&]() -> Status {
          auto made = std::make_unique<T>(Host(args->host), Params(*args));
          *out = reinterpret_cast<tenon_instance*>(made.release());
          return {};
        });
      },
      [](tenon_instance* instance) noexcept { delete reinterpret_cast<T*>(instance); },
      [](tenon_instance*, const char* wanted) noexcept -> const void* {
        return std::strcmp(wanted, id) == 0 ? &Table<T>::table : nullptr;
      }};
  return &kEntry;
}

}  // namespace tenon::sdk

#define TENON_PLUGIN(Class, interface_id, Table)                     \
  TENON_EXPORT const tenon_plugin_v1* tenon_plugin_entry_v1(void) {  \
    static constexpr const char* kId = interface_id;                 \
    return tenon::sdk::plugin_entry<Class, tenon::sdk::Table>(&kId); \
  }                                                                  \
  static_assert(true, "needs a semicolon")
