#include "core/load/packed_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tenon {
namespace {

constexpr std::size_t kLargePage = std::size_t{1} << 21;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

Error no_memory(std::size_t bytes) {
  return {.code = Code::kResourceExhausted,
          .id = "TENON-W001",
          .message = "no memory for packed weights",
          .found = std::strerror(errno),
          .expected = std::to_string(bytes) + " bytes"};
}

}  // namespace

Result<PackedMemory> PackedMemory::reserve(std::size_t bytes) {
  const std::size_t wanted = round_up(bytes, kLargePage), mapped = wanted + kLargePage;
  void* memory = bytes <= SIZE_MAX / 2 ? ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                       : MAP_FAILED;
  if (memory == MAP_FAILED) return no_memory(bytes);
  // More was asked for, so that a multiple of 2 MiB lies inside.
  auto* begin = static_cast<std::byte*>(memory);
  const std::size_t before =
      (kLargePage - reinterpret_cast<std::uintptr_t>(memory) % kLargePage) % kLargePage;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + wanted, kLargePage - before);
  PackedMemory out;
  out.data_ = begin + before;
  out.bytes_ = wanted;
  ::madvise(out.data_, wanted, MADV_HUGEPAGE);  // advice: without it pages are small
  return out;
}

void PackedMemory::seal(std::size_t bytes) {
  const std::size_t kept = round_up(bytes, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  if (kept < bytes_) ::munmap(data_ + kept, bytes_ - kept);
  bytes_ = kept;
  ::mprotect(data_, kept, PROT_READ);
}

PackedMemory::~PackedMemory() {
  if (data_ != nullptr && bytes_ > 0) ::munmap(data_, bytes_);
}

}  // namespace tenon
