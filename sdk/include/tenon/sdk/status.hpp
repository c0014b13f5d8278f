// Errors on the plugin's side: a method returns Status; the trampoline turns it, or an exception,
// into the boundary's code and message. Nothing that is thrown leaves the library.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "tenon/abi/abi.h"

namespace tenon::sdk {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(tenon_status code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == TENON_OK; }
  tenon_status code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  tenon_status code_ = TENON_OK;
  std::string message_;
};

inline Status invalid_argument(std::string message) {
  return {TENON_INVALID_ARGUMENT, std::move(message)};
}
inline Status unimplemented(std::string message) {
  return {TENON_UNIMPLEMENTED, std::move(message)};
}

#define TENON_SDK_TRY(expr)                                                     \
  do {                                                                          \
    if (auto tenon_status_ = (expr); !tenon_status_.ok()) return tenon_status_; \
  } while (0)

inline tenon_status report(tenon_call* call, tenon_status code,
                           const std::string& message) noexcept {
  if (code != TENON_OK && call != nullptr && call->set_error != nullptr)
    call->set_error(call, code, message.data(), message.size());
  return code;
}

template <class F>
tenon_status guarded(tenon_call* call, F&& body) noexcept {
  try {
    const Status status = body();
    return status.ok() ? TENON_OK : report(call, status.code(), status.message());
  } catch (const std::bad_alloc&) {
    if (call != nullptr && call->set_error != nullptr)
      call->set_error(call, TENON_RESOURCE_EXHAUSTED, "out of memory", 13);
    return TENON_RESOURCE_EXHAUSTED;
  } catch (const std::exception& error) {
    if (call != nullptr && call->set_error != nullptr) {
      const char* text = error.what();
      call->set_error(call, TENON_INTERNAL, text, std::char_traits<char>::length(text));
    }
    return TENON_INTERNAL;
  } catch (...) {
    if (call != nullptr && call->set_error != nullptr)
      call->set_error(call, TENON_INTERNAL, "unknown exception", 17);
    return TENON_INTERNAL;
  }
}

// The call record for one call into the host, with the message that came back.
class CallScope {
 public:
  CallScope() {
    call_.hdr = {sizeof call_, 0, nullptr};
    call_.ctx = this;
    call_.set_error = [](tenon_call* call, tenon_status, const char* text, uint64_t length) {
      static_cast<CallScope*>(call->ctx)->message_.assign(text, length);
    };
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  tenon_call* call() { return &call_; }
  Status finish(tenon_status code) {
    return code == TENON_OK ? Status() : Status(code, std::move(message_));
  }

 private:
  tenon_call call_{};
  std::string message_;
};

}  // namespace tenon::sdk
