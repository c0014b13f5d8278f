// Where the fixture plugins lie, and descriptors made from text.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "core/plugin/descriptor.h"

namespace tenon {

inline const std::string kFixtures = TENON_BINARY_DIR "/fixtures/plugins";

inline std::string fixture(const std::string& name) { return kFixtures + "/" + name + ".so"; }

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The least that is a descriptor, with `more` after it.
inline std::string descriptor_text(const std::string& more = "",
                                   const std::string& id = "test.scheduler.one",
                                   const std::string& kind = "scheduler") {
  return "id: \"" + id + "\" kind: \"" + kind + "\" version: \"1.0.0\" abi_epoch: 1 " +
         "interfaces: \"tenon." + kind + "/1\" " + more;
}

inline PluginDescriptor made(const std::string& text) {
  Result<PluginDescriptor> result = parse_descriptor_text(text, "test");
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().to_string());
  return result.ok() ? std::move(result).value() : PluginDescriptor();
}

}  // namespace tenon
