// create() called as a host might call it that is not this one: other sizes, links, parameters.
#pragma once

#include <string>
#include <vector>

#include "core/conform/allocation_watch.h"
#include "core/conform/rig.h"
#include "core/plugin/library.h"

namespace tenon::conform {

// Room after the structs, filled with a pattern, for what a newer host would have there.
struct RawCreate {
  struct Args {
    tenon_create_args args{};
    std::uint64_t more[4];
  } args;
  struct Host {
    tenon_host host{};
    std::uint64_t more[4];
  } host;
  std::vector<tenon_param> params;  // point into the subject's resolved ones

  RawCreate(const tenon_host& services, const std::string& id, const ResolvedParams& from)
      : params(from.table().begin(), from.table().end()) {
    for (std::uint64_t& word : args.more) word = 0xabababababababab;
    for (std::uint64_t& word : host.more) word = 0xabababababababab;
    host.host = services;
    args.args = {{sizeof args.args, 0, nullptr}, &host.host, {id.data(), id.size()}, nullptr, 0};
  }
  RawCreate(const RawCreate&) = delete;
  RawCreate& operator=(const RawCreate&) = delete;

  tenon_status status = 0;
  std::string message;
  tenon_instance* instance = nullptr;

  void call(const tenon_plugin_v1* table) {
    args.args.params = params.data();
    args.args.n_params = params.size();
    tenon_call record{{sizeof record, 0, nullptr},
                      this,
                      [](tenon_call* c, tenon_status, const char* text, std::uint64_t length) {
                        const Unwatched host;
                        static_cast<RawCreate*>(c->ctx)->message.assign(text, length);
                      }};
    message.clear();
    instance = nullptr;
    status = table->create(&args.args, &instance, &record);
  }
};

// What a RawCreate is made of.
struct RawHost {
  std::unique_ptr<Rig> rig;
  ResolvedParams params;
  const tenon_plugin_v1* table = nullptr;

  static Result<RawHost> open(const Subject& subject) {
    RawHost out;
    out.rig = Rig::without_instance();
    TENON_ASSIGN(out.params, subject.resolve());
    TENON_ASSIGN(out.table, open_plugin(subject.file));
    return out;
  }
};

// A failed create() left a message and no instance; a good one an instance, which is destroyed.
inline Finding check_outcome(const RawCreate& made, const tenon_plugin_v1* table) {
  if (made.status == TENON_OK) {
    if (made.instance == nullptr) return failed("create() reported success and gave no instance");
    table->destroy(made.instance);
    return passed();
  }
  if (made.message.empty())
    return failed("create() failed with code " + std::to_string(made.status) + " and no message");
  if (made.instance != nullptr) return failed("create() failed and changed `out`");
  return passed();
}

}  // namespace tenon::conform
