// Memory of an instance: none is lost, and running out of it is an error.
#include "core/conform/allocation_watch.h"
#include "core/conform/raw_create.h"

namespace tenon::conform {
namespace {

Result<RawHost> watched(const Subject& s) {
  TENON_ASSIGN(RawHost out, RawHost::open(s));
  TENON_TRY(watch_allocations(out.table));
  return out;
}

Finding unavailable(const Error& error) {
  return error.id == "TENON-K002" ? skipped(error.message) : Finding(error);
}

Finding leaks(const Subject& s) {
  const auto host = watched(s);
  if (!host.ok()) return unavailable(host.error());
  const RawHost& r = *host;
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  const auto round = [&](int times) {
    const Watched watch;
    for (int i = 0; i < times; ++i) {
      made.call(r.table);
      if (made.status == TENON_OK) r.table->destroy(made.instance);
    }
    return watch.seen().live;
  };
  round(2);  // what an image makes once
  constexpr int kTimes = 1000;
  const std::int64_t left = round(kTimes);
  if (made.status != TENON_OK) return failed(made.message);
  if (left >= kTimes)
    return failed(std::to_string(left) + " allocations are left after " + std::to_string(kTimes) +
                  " instances");
  return passed();
}

Finding runs_out(const Subject& s) {
  const auto host = watched(s);
  if (!host.ok()) return unavailable(host.error());
  const RawHost& r = *host;
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  constexpr std::uint64_t kMost = 2000;
  for (std::uint64_t n = 1; n <= kMost; ++n) {
    Allocations seen;
    bool reached = false;
    {
      const Watched watch(n);
      made.call(r.table);
      reached = watch.seen().made >= n;
      if (made.status == TENON_OK) r.table->destroy(made.instance);
      seen = watch.seen();
    }
    if (!reached) return made.status == TENON_OK ? passed() : failed(made.message);
    if (made.status == TENON_OK) continue;  // it could do without
    const std::string where = "when allocation " + std::to_string(n) + " of create() fails: ";
    if (made.message.empty()) return failed(where + "no message");
    if (made.instance != nullptr) return failed(where + "`out` is changed");
    if (n > 1 && seen.live > 0)
      return failed(where + std::to_string(seen.live) + " allocations are left behind");
  }
  return passed();
}

constexpr Test kTests[] = {
    {"memory.leak", "A thousand instances leave nothing behind.", nullptr, leaks},
    {"memory.exhausted", "An allocation that fails in create() is an error with a message.",
     nullptr, runs_out},
};

}  // namespace

std::span<const Test> memory_tests() { return kTests; }

}  // namespace tenon::conform
