#include "core/conform/allocation_watch.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string_view>

namespace tenon::conform {
namespace {

struct Counter {
  bool on = false;
  std::uint64_t fail_at = 0;
  Allocations seen;
};
// The hooks are plain functions that know nothing but the thread they run on.
thread_local Counter counter;

// Whether the allocation that is about to be made may be made.
bool count_one() {
  if (!counter.on) return true;
  ++counter.seen.made;
  if (counter.seen.made == counter.fail_at) return false;
  ++counter.seen.live;
  return true;
}

void* hooked_malloc(std::size_t bytes) { return count_one() ? std::malloc(bytes) : nullptr; }
void* hooked_calloc(std::size_t n, std::size_t bytes) {
  return count_one() ? std::calloc(n, bytes) : nullptr;
}
void* hooked_realloc(void* old, std::size_t bytes) {
  if (old != nullptr && counter.on) --counter.seen.live;
  if (count_one()) return std::realloc(old, bytes);
  if (old != nullptr) ++counter.seen.live;  // it stays
  return nullptr;
}
void* hooked_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return count_one() ? std::aligned_alloc(alignment, bytes) : nullptr;
}
int hooked_posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  return count_one() ? ::posix_memalign(out, alignment, bytes) : ENOMEM;
}
void hooked_free(void* memory) {
  if (memory != nullptr && counter.on) --counter.seen.live;
  std::free(memory);
}

void* hook_of(std::string_view name) {
  if (name == "malloc") return reinterpret_cast<void*>(&hooked_malloc);
  if (name == "calloc") return reinterpret_cast<void*>(&hooked_calloc);
  if (name == "realloc") return reinterpret_cast<void*>(&hooked_realloc);
  if (name == "aligned_alloc") return reinterpret_cast<void*>(&hooked_aligned_alloc);
  if (name == "posix_memalign") return reinterpret_cast<void*>(&hooked_posix_memalign);
  if (name == "free") return reinterpret_cast<void*>(&hooked_free);
  return nullptr;
}

struct Tables {
  const Elf64_Rela* relocations[2] = {};  // .rela.plt, .rela.dyn
  std::size_t count[2] = {};
  const Elf64_Sym* symbols = nullptr;
  const char* strings = nullptr;
};

Tables tables_of(const link_map* library) {
  Tables out;
  for (const Elf64_Dyn* at = library->l_ld; at->d_tag != DT_NULL; ++at) {
    const auto* address = reinterpret_cast<const void*>(at->d_un.d_ptr);
    switch (at->d_tag) {
      case DT_JMPREL:
        out.relocations[0] = static_cast<const Elf64_Rela*>(address);
        break;
      case DT_PLTRELSZ:
        out.count[0] = at->d_un.d_val / sizeof(Elf64_Rela);
        break;
      case DT_RELA:
        out.relocations[1] = static_cast<const Elf64_Rela*>(address);
        break;
      case DT_RELASZ:
        out.count[1] = at->d_un.d_val / sizeof(Elf64_Rela);
        break;
      case DT_SYMTAB:
        out.symbols = static_cast<const Elf64_Sym*>(address);
        break;
      case DT_STRTAB:
        out.strings = static_cast<const char*>(address);
        break;
      default:
        break;
    }
  }
  return out;
}

// Writes a function's address where the library reads it. The page may have become read-only after
// loading, and stays writable: what else lies in it is not known here.
bool replace(void** slot, void* function) {
  const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(slot) & ~(page_bytes - 1));
  if (::mprotect(page, page_bytes, PROT_READ | PROT_WRITE) != 0) return false;
  *slot = function;
  return true;
}

Status hook_library(const void* address_inside) {
  Dl_info info;
  link_map* library = nullptr;
  if (::dladdr1(address_inside, &info, reinterpret_cast<void**>(&library), RTLD_DL_LINKMAP) == 0 ||
      library == nullptr)
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-K002",
                 .message = "the library's tables cannot be found in memory"};
  static std::mutex mutex;
  static std::set<const link_map*> done;
  const std::lock_guard lock(mutex);
  if (!done.insert(library).second) return {};
  const Tables tables = tables_of(library);
  for (int table = 0; table < 2; ++table)
    for (std::size_t i = 0; i < tables.count[table]; ++i) {
      const Elf64_Rela& entry = tables.relocations[table][i];
      const auto type = ELF64_R_TYPE(entry.r_info);
      if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
      void* hook = hook_of(tables.strings + tables.symbols[ELF64_R_SYM(entry.r_info)].st_name);
      if (hook != nullptr &&
          !replace(reinterpret_cast<void**>(library->l_addr + entry.r_offset), hook))
        return Error{.code = Code::kUnimplemented,
                     .id = "TENON-K002",
                     .message = "the library's tables cannot be changed",
                     .found = std::strerror(errno)};
    }
  return {};
}

}  // namespace

Status watch_allocations(const tenon_plugin_v1* table) {
#ifdef TENON_SANITIZED
  return Error{.code = Code::kUnimplemented,
               .id = "TENON-K002",
               .message = "this program is built with a sanitizer, whose allocator stays"};
#endif
  // operator new is the C++ runtime's, and its malloc is called from there.
  TENON_TRY(hook_library(::dlsym(RTLD_DEFAULT, "_Znwm")));
  return hook_library(reinterpret_cast<const void*>(table->create));
}

Watched::Watched(std::uint64_t fail_at) { counter = {true, fail_at, {}}; }
Watched::~Watched() { counter = {}; }
Allocations Watched::seen() const { return counter.seen; }

Unwatched::Unwatched() : was_(counter.on) { counter.on = false; }
Unwatched::~Unwatched() { counter.on = was_; }

}  // namespace tenon::conform
