// Times every call of a table: a table in front of the real one, generated as the checked ones are.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "core/base/profile.h"
#include "core/iface/proxy.h"
#include "core/iface/timed_tables.h"

namespace tenon::iface {

class Meter {
 public:
  explicit Meter(Profile* profile) : profile_(profile) {}
  Profile* profile() const { return profile_; }

  template <class Table>
  Callee<Table> plugin(const std::string& owner, const Callee<Table>& callee) {
    TimedTable& timed = add(owner, names_of(*callee.table), callee.table, callee.self);
    return {&timed_table(*callee.table), reinterpret_cast<tenon_instance*>(&timed)};
  }
  // Services belong to the core, whoever calls them.
  template <class Table>
  const Table* service(const Table* table) {
    TimedTable& timed = add("core", names_of(*table), table, table->ctx);
    timed.lent = std::make_unique<std::byte[]>(sizeof(Table));
    auto* out = reinterpret_cast<Table*>(timed.lent.get());
    *out = timed_table(*table);
    out->ctx = &timed;
    return out;
  }

 private:
  TimedTable& add(const std::string& owner, std::span<const char* const> names, const void* table,
                  void* target) {
    TimedTable& made = tables_.emplace_back();
    made.profile = profile_;
    made.table = table;
    made.target = target;
    for (const char* name : names) made.rows.push_back(profile_->row(owner, name));
    return made;
  }

  Profile* profile_;
  std::deque<TimedTable> tables_;  // addresses stay
};

}  // namespace tenon::iface
