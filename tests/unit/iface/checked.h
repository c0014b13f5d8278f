// A plugin behind the checking proxy, its table made by hand.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/iface/proxy.h"
#include "core/iface/tables.h"
#include "tenon/sdk/tables.hpp"

namespace tenon::iface {

struct Checked {
  Boundary boundary;
  TensorLookup lookup;
  Party* party = boundary.add_party("org.test", &lookup);

  // As wrap<Scheduler>(table, plugin): the core's wrapper over a checked table.
  template <class Wrapper, class Table, class T>
  Wrapper wrap(const Table* table, T& plugin) {
    const auto callee = check_plugin(party, table, reinterpret_cast<tenon_instance*>(&plugin));
    return Wrapper(callee.table, callee.self, &party->id);
  }
};

inline std::string id_of(const Status& status) { return status.ok() ? "" : status.error().id; }

// The error is a misuse of this id, by this side, and says all that an Error can.
inline void expect_misuse(const Status& status, const std::string& id, const std::string& who,
                          const std::string& call, const std::string& found = "") {
  ASSERT_FALSE(status.ok());
  const Error& error = status.error();
  EXPECT_EQ(error.id, id) << error.to_string();
  EXPECT_TRUE(error.message.starts_with(who + "-misbehaving: ")) << error.to_string();
  EXPECT_EQ(error.where, "org.test " + call);
  EXPECT_NE(error.found.find(found), std::string::npos) << error.to_string();
  EXPECT_FALSE(error.found.empty());
  EXPECT_FALSE(error.expected.empty());
  EXPECT_FALSE(error.fix.empty());
}

}  // namespace tenon::iface
