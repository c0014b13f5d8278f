// One call across the boundary, seen from the core: the record that carries a plugin's message
// back, and the way an Error of the core travels to a plugin that called a service.
#pragma once

#include <string>

#include "core/base/error.h"
#include "tenon/abi/abi.h"

namespace tenon::iface {

class PluginCall {
 public:
  // `owner` is the plugin's id and may be null; `what` names the call, e.g. "scheduler.plan". Both
  // outlive the scope.
  PluginCall(const std::string* owner, const char* what) : owner_(owner), what_(what) {
    call_.hdr = {sizeof call_, 0, nullptr};
    call_.ctx = this;
    call_.set_error = &PluginCall::set_error;
  }
  PluginCall(const PluginCall&) = delete;
  PluginCall& operator=(const PluginCall&) = delete;
  tenon_call* call() { return &call_; }
  Status finish(tenon_status code) { return code == TENON_OK ? Status() : fail(code); }

 private:
  static void set_error(tenon_call* call, tenon_status code, const char* text, uint64_t length);
  Status fail(tenon_status code);

  tenon_call call_{};
  const std::string* owner_;
  const char* what_;
  std::string message_;
};

// Hands an error of a service to the plugin that called it.
tenon_status report(tenon_call* call, const Status& status);

}  // namespace tenon::iface
