#include "core/iface/plugin_call.h"

namespace tenon::iface {

void PluginCall::set_error(tenon_call* call, tenon_status, const char* text, uint64_t length) {
  static_cast<PluginCall*>(call->ctx)->message_.assign(text, length);
}

// A core error that has travelled through the plugin (a service failed, the plugin passed the
// message on) keeps its id.
Status PluginCall::fail(tenon_status code) {
  Error error{.code = static_cast<Code>(code), .id = "TENON-P900"};
  error.message = message_.empty() ? "the plugin failed without a message" : message_;
  if (message_.starts_with("TENON-") && message_.size() > 10) {
    error.id = message_.substr(0, 10);
    const std::size_t at = message_.find_first_not_of(": ", 10);
    error.message = at == std::string::npos ? message_ : message_.substr(at);
  } else {
    error.where = (owner_ != nullptr ? *owner_ + " " : std::string()) + what_;
  }
  return error;
}

tenon_status report(tenon_call* call, const Status& status) {
  if (status.ok()) return TENON_OK;
  const std::string text = status.error().to_string();
  if (call != nullptr && call->set_error != nullptr)
    call->set_error(call, static_cast<tenon_status>(status.error().code), text.data(), text.size());
  return static_cast<tenon_status>(status.error().code);
}

}  // namespace tenon::iface
