#include "core/adapter/adapter_files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>

#include "core/base/hash.h"
#include "core/format/safetensors.h"

namespace fs = std::filesystem;

namespace tenon {
namespace {

constexpr std::uintmax_t kMostConfigBytes = 1 << 20;
constexpr const char *kConfig = "adapter_config.json", *kTensors = "adapter_model.safetensors";

Error missing(const char* id, const fs::path& path, std::string message, std::string found) {
  return {.code = Code::kNotFound,
          .id = id,
          .message = std::move(message),
          .where = path.string(),
          .found = std::move(found),
          .expected = std::string("a folder with ") + kConfig + " and " + kTensors};
}

// The whole file: what is hashed and what is used are then the same, whoever writes meanwhile.
Result<std::string> read_whole(const fs::path& path, const char* id, std::string message) {
  std::error_code error;
  if (!fs::is_regular_file(path, error))  // opening another kind may wait, or never end
    return missing(id, path, std::move(message),
                   fs::exists(path, error) ? "not a regular file" : "no file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.is_open() && !in.bad()) return text;
  return missing(id, path, std::move(message), errno != 0 ? std::strerror(errno) : "no file");
}

class Identity {
 public:
  // Lengths first, so that no two sequences of parts run into the same bytes.
  void add(std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    hash_.update(std::as_bytes(std::span(&size, 1)));
    hash_.update(bytes);
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::string hex() { return hash_.finish_hex(); }

 private:
  Sha256 hash_;
};

}  // namespace

struct AdapterFiles::State {
  std::string folder, config, identity, bytes;
  std::optional<SafetensorsFile> file;  // over `bytes`
  std::vector<tenon_adapter_tensor> tensors;
  std::uint64_t tensor_bytes = 0;
};

AdapterFiles::AdapterFiles(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdapterFiles::AdapterFiles(AdapterFiles&&) noexcept = default;
AdapterFiles& AdapterFiles::operator=(AdapterFiles&&) noexcept = default;
AdapterFiles::~AdapterFiles() = default;

const std::string& AdapterFiles::folder() const { return state_->folder; }
const std::string& AdapterFiles::config() const { return state_->config; }
const std::string& AdapterFiles::identity() const { return state_->identity; }
std::uint64_t AdapterFiles::tensor_bytes() const { return state_->tensor_bytes; }

void AdapterFiles::close_tensors() {
  state_->tensors = {};
  state_->file.reset();
  state_->bytes = {};
}

Result<AdapterFiles> AdapterFiles::read(const std::string& folder) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  const fs::path at(folder);
  std::error_code error;
  if (!fs::is_directory(at, error))
    return missing("TENON-D010", at, "there is no such folder of an adapter",
                   fs::exists(at, error) ? "no folder" : "nothing");
  if (fs::file_size(at / kConfig, error) > kMostConfigBytes && !error)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-D011",
                 .message = "the adapter's configuration is too large",
                 .where = (at / kConfig).string(),
                 .expected = "at most 1 MiB"};
  TENON_ASSIGN(state->config, read_whole(at / kConfig, "TENON-D010",
                                         "the adapter's configuration cannot be read"));
  Result<std::string> bytes =
      read_whole(at / kTensors, "TENON-D012", "the adapter's tensors cannot be read");
  if (!bytes.ok()) {
    Error failed = bytes.take_error();
    if (fs::exists(at / "adapter_model.bin", error))
      failed.fix =
          "adapter_model.bin is a pickled program and is not read; save the adapter with "
          "safe_serialization";
    return failed;
  }
  state->bytes = std::move(*bytes);
  TENON_ASSIGN(SafetensorsFile file, SafetensorsFile::parse(std::as_bytes(std::span(state->bytes)),
                                                            (at / kTensors).string()));
  state->file.emplace(std::move(file));
  Identity identity;
  identity.add(state->config);
  for (const SafetensorsTensor& tensor : state->file->tensors()) {
    const std::size_t rank = tensor.shape.size();
    const bool matrix = rank == 1 || rank == 2;
    state->tensors.push_back({{tensor.name.data(), tensor.name.size()},
                              matrix && rank == 2 ? static_cast<std::int64_t>(tensor.shape[0])
                              : matrix            ? 1
                                                  : 0,
                              matrix ? static_cast<std::int64_t>(tensor.shape[rank - 1]) : 0,
                              static_cast<std::int32_t>(std::min<std::size_t>(rank, 1 << 20)),
                              0});
    state->tensor_bytes += tensor.data.size();
    identity.add(tensor.name);
    identity.add(tensor.type->name);
    identity.add(std::as_bytes(std::span(tensor.shape)));
    identity.add(tensor.data);
  }
  state->identity = identity.hex();
  return AdapterFiles(std::move(state));
}

tenon_adapter_source AdapterFiles::source(const std::string& name) const {
  const auto read = [](void* ctx, std::uint64_t index, float* out) -> std::int32_t {
    const State& state = *static_cast<const State*>(ctx);
    if (!state.file || index >= state.file->tensors().size()) return 0;
    const SafetensorsTensor& tensor = state.file->tensors()[index];
    return state.file->read_f32(tensor, std::span(out, tensor.values())).ok() ? 1 : 0;
  };
  return {{sizeof(tenon_adapter_source), 0, nullptr},
          {name.data(), name.size()},
          {state_->config.data(), state_->config.size()},
          state_->tensors.data(),
          state_->tensors.size(),
          read,
          state_.get()};
}

}  // namespace tenon
