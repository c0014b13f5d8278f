#include "core/iface/plugin_call.h"

#include "core/iface/message.h"

namespace tenon::iface {

void PluginCall::set_error(tenon_call* call, tenon_status, const char* text, uint64_t length) {
  static_cast<PluginCall*>(call->ctx)->message_ = bounded_message(text, length);
}

// A core error that has travelled through the plugin (a service failed, the plugin passed the
// message on) keeps its id.
Status PluginCall::fail(tenon_status code) {
  Error error = Error::from_string(static_cast<Code>(code), message_);
  if (!error.id.empty()) return error;
  error.id = "TENON-P900";
  error.where = (owner_ != nullptr ? *owner_ + " " : std::string()) + what_;
  if (message_.empty()) error.message = "the plugin failed without a message";
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
