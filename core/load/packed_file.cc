#include "core/load/packed_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/base/hash.h"

namespace tenon {
namespace {

constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'P', 'K', '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kAlignment = 4096, kMostFront = std::uint64_t{1} << 30;
constexpr std::size_t kBlock = std::size_t{1} << 20;  // bytes under one checksum
constexpr std::int64_t kQuiet = 2'000'000'000;        // nanoseconds

struct Head {
  char magic[8];
  std::uint32_t version, weights;
  std::uint64_t key_bytes;
  std::uint64_t payload_begin, payload_bytes;
  FileStamp model;         // of the model file; all zero: not to be relied on
  Hash128 content;         // of its bytes
  std::uint64_t checksum;  // of what lies before the payload, with zero here
};
static_assert(std::is_trivially_copyable_v<Head> && sizeof(Head) == 112);

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

Error stale(const std::string& path, std::string found, std::string expected) {
  return {.code = Code::kFailedPrecondition,
          .id = "TENON-W003",
          .message = "the packed weights are of something else",
          .where = path,
          .found = std::move(found),
          .expected = std::move(expected)};
}

Error broken(const std::string& path, std::string found) {
  return {.code = Code::kDataLoss,
          .id = "TENON-W005",
          .message = "the file of packed weights is not whole",
          .where = path,
          .found = std::move(found)};
}

std::size_t blocks_of(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + kBlock - 1) / kBlock);
}

bool read_all(int fd, std::byte* to, std::size_t bytes, std::uint64_t at) {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, to, bytes, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    at += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int fd, std::span<const std::byte> from, std::uint64_t at) {
  while (!from.empty()) {
    const ssize_t put = ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from = from.subspan(static_cast<std::size_t>(put));
    at += static_cast<std::uint64_t>(put);
  }
  return true;
}

// Calls f(block) for every block, on all threads.
template <class F>
void for_blocks(StripePool& pool, std::size_t blocks, const F& f) {
  struct Args {
    const F* f;
    std::size_t blocks;
  };
  const Args args{&f, blocks};
  const auto run = [](const void* raw, std::uint32_t stripe, std::uint32_t count, std::uint32_t) {
    const auto& a = *static_cast<const Args*>(raw);
    for (std::size_t i = a.blocks * stripe / count; i < a.blocks * (stripe + 1) / count; ++i)
      (*a.f)(i);
  };
  const std::size_t stripes = std::clamp<std::size_t>(blocks, 1, pool.threads() * 8);
  pool.submit(run, &args, sizeof args, static_cast<std::uint32_t>(stripes));
  pool.wait();
}

std::span<const std::byte> block_of(std::span<const std::byte> bytes, std::size_t i) {
  return bytes.subspan(i * kBlock, std::min(kBlock, bytes.size() - i * kBlock));
}

std::vector<std::uint64_t> checksums_of(std::span<const std::byte> bytes, StripePool& pool) {
  std::vector<std::uint64_t> out(blocks_of(bytes.size()));
  for_blocks(pool, out.size(), [&](std::size_t i) { out[i] = checksum(block_of(bytes, i)); });
  return out;
}

// A part at a time, so that never all of the model file counts as memory of this process.
Hash128 content_of(const GgufFile& model, StripePool& pool) {
  constexpr std::size_t kPart = 32 * kBlock;
  std::vector<std::uint64_t> sums;
  for (std::size_t at = 0; at < model.bytes().size(); at += kPart) {
    const std::span part = model.bytes().subspan(at);
    for (const std::uint64_t sum : checksums_of(part.first(std::min(kPart, part.size())), pool))
      sums.push_back(sum);
    model.release_data();
  }
  return hash_bytes(std::as_bytes(std::span(sums)));
}

// What may be noted of the model file: see the head of packed_file.h.
FileStamp reliable_stamp(const FileStamp& stamp) {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  return std::max(stamp.modified, stamp.changed) + kQuiet < now ? stamp : FileStamp{};
}

std::uint64_t front_bytes(const Head& head) {
  return sizeof(Head) + head.key_bytes + std::uint64_t{head.weights} * sizeof(PackedRow) +
         blocks_of(head.payload_bytes) * sizeof(std::uint64_t);
}

// Everything before the payload. Rows and checksums lie behind the key, so they are copied out.
struct Front {
  Head head{};
  std::vector<std::byte> bytes;

  void seal() {
    head.checksum = 0;
    std::memcpy(bytes.data(), &head, sizeof head);
    head.checksum = tenon::checksum(bytes);
    std::memcpy(bytes.data(), &head, sizeof head);
  }
  bool is_whole() {
    Head unsealed = head;
    unsealed.checksum = 0;
    std::memcpy(bytes.data(), &unsealed, sizeof unsealed);
    return tenon::checksum(bytes) == head.checksum;
  }
  std::string_view key() const {
    return {reinterpret_cast<const char*>(bytes.data()) + sizeof(Head),
            static_cast<std::size_t>(head.key_bytes)};
  }
  template <class T>
  std::vector<T> array(std::uint64_t at, std::size_t count) const {
    std::vector<T> out(count);
    if (count > 0) std::memcpy(out.data(), bytes.data() + at, count * sizeof(T));
    return out;
  }
  std::uint64_t rows_at() const { return sizeof(Head) + head.key_bytes; }
  std::vector<PackedRow> rows() const { return array<PackedRow>(rows_at(), head.weights); }
  std::vector<std::uint64_t> checksums() const {
    return array<std::uint64_t>(rows_at() + head.weights * sizeof(PackedRow),
                                blocks_of(head.payload_bytes));
  }
};

Result<Front> read_front(int fd, const std::string& path, std::uint64_t file_bytes) {
  Front front;
  Head& head = front.head;
  if (file_bytes < sizeof head ||
      !read_all(fd, reinterpret_cast<std::byte*>(&head), sizeof head, 0))
    return broken(path, std::to_string(file_bytes) + " bytes");
  if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0)
    return broken(path, "another kind of file");
  if (head.version != kVersion)
    return stale(path, "version " + std::to_string(head.version),
                 "version " + std::to_string(kVersion));
  if (head.payload_begin > kMostFront || head.payload_begin % kAlignment != 0 ||
      head.key_bytes > head.payload_begin || head.payload_bytes > file_bytes ||
      head.payload_begin + head.payload_bytes != file_bytes ||
      front_bytes(head) > head.payload_begin)
    return broken(
        path, "sizes that are not those of the file, of " + std::to_string(file_bytes) + " bytes");
  front.bytes.resize(static_cast<std::size_t>(head.payload_begin));
  if (!read_all(fd, front.bytes.data(), front.bytes.size(), 0) || !front.is_whole())
    return broken(path, "a head with a wrong checksum");
  return front;
}

// The first line of two texts that differs.
std::pair<std::string, std::string> first_difference(std::string_view a, std::string_view b) {
  const auto line = [](std::string_view text, std::size_t at) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    return std::string(text.substr(at, end - at));
  };
  std::size_t at = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()) && a[i] == b[i]; ++i)
    if (a[i] == '\n') at = i + 1;
  return {line(a, std::min(at, a.size())), line(b, std::min(at, b.size()))};
}

Status check_rows(const Front& front, std::span<const PackedRow> rows, const std::string& path) {
  for (const PackedRow& row : rows)
    if (row.offset % 64 != 0 || row.offset > front.head.payload_bytes ||
        row.bytes > front.head.payload_bytes - row.offset)
      return broken(path, "a weight outside of the file");
  return {};
}

// Is the model file the one that was packed? Notes in the file what its bytes have answered.
Status check_model(Front& front, const std::string& path, const GgufFile& model, StripePool& pool) {
  if (front.head.model == model.stamp()) return {};
  if (front.head.content != content_of(model, pool))
    return stale(path, "the weights of other bytes", model.path());
  const FileStamp known = reliable_stamp(model.stamp());
  if (known == front.head.model) return {};
  front.head.model = known;
  front.seal();
  // Not there to be written to: the bytes decide next time, too.
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  [[maybe_unused]] const bool noted =
      file.is_open() && write_all(file.get(), std::span(front.bytes).first(sizeof(Head)), 0);
  return {};
}

Result<PackedMemory> read_payload(int fd, const Front& front, const std::string& path,
                                  StripePool& pool) {
  const auto bytes = static_cast<std::size_t>(front.head.payload_bytes);
  TENON_ASSIGN(PackedMemory memory, PackedMemory::reserve(bytes));
  const std::vector<std::uint64_t> sums = front.checksums();
  std::atomic<std::size_t> bad{0};
  // A block is checked while it is in the cache, which makes the check nearly free.
  for_blocks(pool, sums.size(), [&](std::size_t i) {
    const std::size_t at = i * kBlock, n = std::min(kBlock, bytes - at);
    if (!read_all(fd, memory.data() + at, n, front.head.payload_begin + at) ||
        checksum({memory.data() + at, n}) != sums[i])
      ++bad;
  });
  if (bad > 0)
    return broken(path, std::to_string(bad) + " of " + std::to_string(sums.size()) +
                            " checksums of weights are wrong");
  memory.seal(bytes);
  return memory;
}

}  // namespace

Result<PackedPayload> read_packed_file(const std::string& path, const PackedKey& key,
                                       StripePool& pool) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file.is_open() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error{.code = Code::kNotFound,
                 .id = "TENON-W002",
                 .message = "there are no packed weights",
                 .where = path,
                 .found = std::strerror(errno)};
  // Whoever may write the model may write what was made of it; nobody else's numbers are taken.
  if (info.st_uid != ::geteuid() && info.st_uid != 0 && info.st_uid != key.model->stamp().owner)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-W004",
                 .message = "the packed weights are another user's",
                 .where = path,
                 .found = "user " + std::to_string(info.st_uid)};
  TENON_ASSIGN(Front front, read_front(file.get(), path, static_cast<std::uint64_t>(info.st_size)));
  if (front.key() != key.text || front.head.weights != key.weights) {
    auto [found, expected] = first_difference(front.key(), key.text);
    return stale(path, std::move(found), std::move(expected));
  }
  PackedPayload out;
  out.rows = front.rows();
  TENON_TRY(check_rows(front, out.rows, path));
  TENON_TRY(check_model(front, path, *key.model, pool));
  TENON_ASSIGN(out.memory, read_payload(file.get(), front, path, pool));
  return out;
}

namespace {

Error cannot_write(const std::string& path) {
  return {.code = Code::kPermissionDenied,
          .id = "TENON-W006",
          .message = "cannot keep the packed weights",
          .where = path,
          .found = std::strerror(errno)};
}

Front make_front(const PackedKey& key, std::span<const PackedRow> rows,
                 std::span<const std::byte> payload, StripePool& pool) {
  Front front;
  Head& head = front.head;
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.version = kVersion;
  head.weights = static_cast<std::uint32_t>(rows.size());
  head.key_bytes = key.text.size();
  head.payload_bytes = payload.size();
  head.payload_begin = (front_bytes(head) + kAlignment - 1) / kAlignment * kAlignment;
  head.content = content_of(*key.model, pool);
  head.model = reliable_stamp(key.model->stamp());
  front.bytes.resize(static_cast<std::size_t>(head.payload_begin));
  std::byte* at = front.bytes.data() + sizeof head;
  const auto put = [&at](std::span<const std::byte> from) {
    at = std::copy(from.begin(), from.end(), at);
  };
  put(std::as_bytes(std::span(key.text)));
  put(std::as_bytes(rows));
  const std::vector<std::uint64_t> sums = checksums_of(payload, pool);
  put(std::as_bytes(std::span(sums)));
  front.seal();
  return front;
}

bool is_at(const std::string& path, const struct stat& info) {
  struct stat there {};
  return ::lstat(path.c_str(), &there) == 0 && there.st_ino == info.st_ino &&
         there.st_dev == info.st_dev;
}

}  // namespace

// Work in progress has one name and a lock. Whoever gets the lock after another has finished holds
// a file that is not under that name any more.
Status write_packed_file(const std::string& path, const PackedKey& key,
                         std::span<const PackedRow> rows, std::span<const std::byte> payload,
                         StripePool& pool) {
  const std::string part = path + ".part";
  const Descriptor file(::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                               S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH));
  struct stat info {};
  if (!file.is_open() || ::fstat(file.get(), &info) != 0) return cannot_write(part);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || !is_at(part, info) ||
      info.st_uid != ::geteuid())
    return Error{.code = Code::kUnavailable,
                 .id = "TENON-W007",
                 .message = "another process writes the packed weights",
                 .where = part};
  const auto give_up = [&](Error error) {
    ::unlink(part.c_str());
    return error;
  };
  const Front front = make_front(key, rows, payload, pool);
  struct stat model {};
  if (::stat(key.model->path().c_str(), &model) != 0 || stamp_of(model) != key.model->stamp())
    return give_up({.code = Code::kFailedPrecondition,
                    .id = "TENON-W008",
                    .message = "the model file has changed since it was opened",
                    .where = key.model->path()});
  if (::ftruncate(file.get(), 0) != 0 || !write_all(file.get(), front.bytes, 0) ||
      !write_all(file.get(), payload, front.bytes.size()) || ::fsync(file.get()) != 0 ||
      ::rename(part.c_str(), path.c_str()) != 0)
    return give_up(cannot_write(path));
  return {};
}

}  // namespace tenon
