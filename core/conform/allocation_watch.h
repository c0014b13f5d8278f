// Counts what a library allocates, and makes an allocation fail on request.
//
// The library's own calls of malloc and its kin, and those of the C++ runtime, are led through here
// by changing where they jump to. They count while a Watched scope is alive on the calling thread.
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "tenon/abi/plugin.h"

namespace tenon::conform {

struct Allocations {
  std::uint64_t made = 0;
  std::int64_t live = 0;  // made and not freed
};

// From now on the calls of the library that `table` belongs to are seen. Once per library;
// UNIMPLEMENTED where the program's allocator cannot be led around.
Status watch_allocations(const tenon_plugin_v1* table);

class Watched {
 public:
  // `fail_at`: the allocation of this number, from 1, fails; 0: none.
  explicit Watched(std::uint64_t fail_at = 0);
  ~Watched();
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  Allocations seen() const;
};

// What a host service allocates is not the plugin's.
class Unwatched {
 public:
  Unwatched();
  ~Unwatched();
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;

 private:
  bool was_;
};

}  // namespace tenon::conform
