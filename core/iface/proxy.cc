#include "core/iface/proxy.h"

#include "core/iface/crossing.h"

namespace tenon::iface {

bool host_log_may_pass(Party* party, std::int32_t severity, tenon_str message) {
  static constexpr CallRule kRule{"host.log", Tag::kAny, true, 0, 0, false};
  if (party == nullptr) return true;
  CheckedTable table;
  table.party = party;
  Crossing crossing(table, kRule, 0, nullptr);
  crossing.in_range(Path{nullptr, "severity"}, static_cast<std::uint64_t>(severity), 0, 3);
  crossing.text(Path{nullptr, "message"}, message);
  return crossing.may_pass();
}

bool get_service_may_pass(Party* party, const char* id) {
  static constexpr CallRule kRule{"host.get_service", Tag::kControl, true, 0, 0, false};
  if (party == nullptr) return true;
  CheckedTable table;
  table.party = party;
  Crossing crossing(table, kRule, 0, nullptr);
  crossing.non_null(Path{nullptr, "id"}, id);
  return crossing.may_pass();
}

}  // namespace tenon::iface
