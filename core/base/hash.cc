#include "core/base/hash.h"

#include <openssl/evp.h>
#define XXH_STATIC_LINKING_ONLY  // the state on the stack
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace tenon {
namespace {

struct DigestFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Digest = std::unique_ptr<EVP_MD_CTX, DigestFree>;

Digest new_sha256() {
  Digest digest(EVP_MD_CTX_new());
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  return digest;
}

std::string finish_hex(EVP_MD_CTX* digest) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int length = 0;
  EVP_DigestFinal_ex(digest, raw.data(), &length);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < length; ++i) {
    out += kHex[raw[i] >> 4];
    out += kHex[raw[i] & 15];
  }
  return out;
}

struct FileClose {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

Hash128 hash_bytes(std::span<const std::byte> bytes, const Hash128& seed) {
  // The seed goes in as data: XXH3's own seed is 64 bits and would drop half of the chain.
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, &seed, sizeof seed);
  XXH3_128bits_update(&state, bytes.data(), bytes.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

Hash128 hash_text(std::string_view text, const Hash128& seed) {
  return hash_bytes(std::as_bytes(std::span(text.data(), text.size())), seed);
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest = new_sha256();
  EVP_DigestUpdate(digest.get(), bytes.data(), bytes.size());
  return finish_hex(digest.get());
}

Result<std::string> sha256_file(const std::string& path) {
  std::unique_ptr<std::FILE, FileClose> file(std::fopen(path.c_str(), "rb"));
  const auto failed = [&] {
    return Error{.code = Code::kNotFound,
                 .id = "TENON-B001",
                 .message = "cannot read the file",
                 .where = path,
                 .found = std::strerror(errno)};
  };
  if (!file) return failed();
  Digest digest = new_sha256();
  std::vector<unsigned char> buffer(1 << 20);
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0;)
    EVP_DigestUpdate(digest.get(), buffer.data(), got);
  if (std::ferror(file.get())) return failed();
  return finish_hex(digest.get());
}

}  // namespace tenon
