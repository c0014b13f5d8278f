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
struct FileClose {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, DigestFree> digest{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->digest.get(), EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(state_->digest.get(), bytes.data(), bytes.size());
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->digest.get(), raw.data(), &length);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < length; ++i) {
    out += kHex[raw[i] >> 4];
    out += kHex[raw[i] & 15];
  }
  return out;
}

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

std::uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.finish_hex();
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
  Sha256 digest;
  std::vector<std::byte> buffer(1 << 20);
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0;)
    digest.update({buffer.data(), got});
  if (std::ferror(file.get())) return failed();
  return digest.finish_hex();
}

}  // namespace tenon
