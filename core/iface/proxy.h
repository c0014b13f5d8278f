// How a table gets a checked one in front of it. With a null party nothing is put in between.
#pragma once

#include <cstring>

#include "core/iface/boundary.h"
#include "core/iface/checked_tables.h"

namespace tenon::iface {

// What the core calls: a table and the instance to call it with.
template <class Table>
struct Callee {
  const Table* table;
  tenon_instance* self;
};

template <class Table>
Callee<Table> check_plugin(Party* party, const Table* table, tenon_instance* self) {
  if (party == nullptr) return {table, self};
  CheckedTable* checked = party->boundary->add_table(party, table, self);
  return {&checked_table(*table), reinterpret_cast<tenon_instance*>(checked)};
}

// A service's table as this plugin is to see it.
template <class Table>
const Table* check_service(Party* party, const Table* table) {
  if (party == nullptr) return table;
  CheckedTable* checked = party->boundary->add_table(party, table, table->ctx);
  checked->lent = std::make_unique<std::byte[]>(sizeof(Table));
  auto* out = reinterpret_cast<Table*>(checked->lent.get());
  *out = checked_table(*table);
  out->ctx = checked;
  return out;
}

// The two calls of tenon_host. False: the plugin has misused the call, which is recorded.
bool host_log_may_pass(Party* party, std::int32_t severity, tenon_str message);
bool get_service_may_pass(Party* party, const char* id);

}  // namespace tenon::iface
