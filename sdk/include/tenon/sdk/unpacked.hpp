// For a backend that states no pack_format: the calls that the host then never makes.
#pragma once

#include "tenon/abi/backend.h"
#include "tenon/sdk/status.hpp"

namespace tenon::sdk {

struct Unpacked {
  std::uint64_t packed_bytes(const tenon_weight*) { return 0; }
  Status pack_weight(const tenon_weight*, void*, std::uint64_t, std::uint64_t*, std::uint32_t*) {
    return unimplemented("a packed form");
  }
  Status adopt_weight(const tenon_weight*, const void*, std::uint64_t, std::uint32_t) {
    return unimplemented("a packed form");
  }
};

}  // namespace tenon::sdk
