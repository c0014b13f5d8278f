// A file of weights in a backend's packed form: made once, read at every start. A file that is not
// whole or not of this model, backend and pack format gives an error here and is made anew by
// whoever asked.
//
//   0             head: magic, version, sizes, identity of the model file, checksum
//   head          the key, a text that must be the same; one line a weight, in the order of ids
//   then          a row a weight: where its bytes are, and their form
//   then          a checksum for each MiB of the payload
//   payload       at a multiple of 4 KiB: the weights' bytes, each at a multiple of 64
//
// The head's checksum is over everything before the payload. Numbers are little-endian.
//
// The model file is known by its size, its times of modification and change, inode, device and
// owner, and by a hash of all its bytes. While the former are the same, its bytes are not read.
// When they differ the hash decides, and what it decided is written into the head. A file that had
// changed in the two seconds before it was read may change again without a trace: its former are
// not noted, and the hash decides until it has been quiet for that long.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/stripe_pool.h"
#include "core/format/gguf.h"
#include "core/load/packed_memory.h"

namespace tenon {

struct PackedRow {
  std::uint64_t offset = 0, bytes = 0;  // in the payload
  std::uint32_t form = 0;               // the backend's
  std::uint32_t reserved = 0;
};

struct PackedKey {
  std::string text;
  std::size_t weights = 0;
  const GgufFile* model = nullptr;
};

struct PackedPayload {
  PackedMemory memory;
  std::vector<PackedRow> rows;
};

// Runs on the pool's threads; no command of others may be pending. Codes: kNotFound (W002) there is
// none; kFailedPrecondition (W003) it is of something else, or of another user (W004); kDataLoss
// (W005) it is not whole.
Result<PackedPayload> read_packed_file(const std::string& path, const PackedKey& key,
                                       StripePool& pool);

// Appears under its name when it is complete and on disk. Of several processes that write it at
// once one does, the others get W007. W006: it cannot be written. W008: the model file has changed
// since it was opened.
Status write_packed_file(const std::string& path, const PackedKey& key,
                         std::span<const PackedRow> rows, std::span<const std::byte> payload,
                         StripePool& pool);

}  // namespace tenon
