#include "core/load/prepack.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "core/base/hash.h"
#include "core/base/log.h"

namespace fs = std::filesystem;

namespace tenon {
namespace {

constexpr std::uint64_t kAlignment = 64;  // of a weight's bytes
// Of packed weights, after which what was read for them is no longer kept in memory.
constexpr std::uint64_t kReleaseBytes = std::uint64_t{32} << 20;

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string hex(const Hash128& hash) { return hex(hash.high) + hex(hash.low); }

std::string file_name_part(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_') c = '-';
  return out;
}

// Rows of a storage type with bytes that nobody would write, but all of whose floats are finite.
class SampleWeight {
 public:
  explicit SampleWeight(GgmlType type)
      : codec_(*find_codec(type)), bytes_(kRows * row_bytes(type, kColumns)) {
    std::uint32_t state = 1;
    for (std::byte& byte : bytes_) {
      state = state * 1664525u + 1013904223u;
      byte = static_cast<std::byte>(state >> 24 & 0xbf);
    }
  }
  tenon_weight record() const {
    return {{sizeof(tenon_weight), 0, nullptr},
            {"sample", 6},
            0,
            codec_->layout,
            kRows,
            kColumns,
            codec_->has_min ? 1 : 0,
            TENON_WEIGHT_USE_PRODUCT,
            &read,
            const_cast<SampleWeight*>(this)};
  }

 private:
  static constexpr std::int64_t kRows = 37, kColumns = 512;

  static void read(void* ctx, std::int64_t first, std::int64_t rows, void* values, float* scales,
                   float* mins) {
    const auto& sample = *static_cast<const SampleWeight*>(ctx);
    const std::int64_t groups = kColumns / layout_group(sample.codec_->layout),
                       width = sample.codec_->layout == TENON_LAYOUT_F32 ? 4 : 1;
    const std::uint64_t bytes = row_bytes(sample.codec_->type, kColumns);
    for (std::int64_t r = 0; r < rows; ++r)
      sample.codec_->expand_row(
          sample.bytes_.data() + static_cast<std::uint64_t>(first + r) * bytes, kColumns,
          static_cast<std::byte*>(values) + r * kColumns * width,
          scales != nullptr ? scales + r * groups : nullptr,
          mins != nullptr ? mins + r * groups : nullptr);
  }

  const Codec* codec_;
  std::vector<std::byte> bytes_;
};

// Hashes of a few made-up rows of each storage type of the model as they come out packed: codecs or
// a packed form that have changed, under whatever name, give another key.
Result<std::string> samples_text(const ModelBuilder& model, const iface::Backend& backend) {
  std::map<GgmlType, std::size_t> types;
  for (std::size_t i = 0; i < model.weights(); ++i) types.try_emplace(model.stored_type(i), i);
  std::string out;
  for (const auto& [type, weight] : types) {
    const SampleWeight sample(type);
    const tenon_weight record = sample.record();
    const std::uint64_t room = backend.packed_bytes(&record);
    TENON_ASSIGN(const PackedMemory memory, PackedMemory::reserve(room));
    std::uint64_t bytes = 0;
    std::uint32_t form = 0;
    TENON_TRY(backend.pack_weight(&record, memory.data(), room, &bytes, &form));
    const auto packed = memory.bytes().first(static_cast<std::size_t>(std::min(bytes, room)));
    out += "packed " + std::string(ggml_type_info(type).name) + " " + hex(checksum(packed)) +
           " form " + std::to_string(form) + "\n";
  }
  return out;
}

// All that packed bytes depend on, but the contents of the model file's tensors.
Result<std::string> key_text(const ModelBuilder& model, const iface::Backend& backend,
                             std::string_view format, const PrepackPlace& place) {
  TENON_ASSIGN(const std::string samples, samples_text(model, backend));
  const GgufFile& file = model.file();
  const auto front = file.bytes().first(static_cast<std::size_t>(file.data_begin()));
  return "model of " + std::to_string(file.file_bytes()) + " bytes, head " +
         hex(hash_bytes(front)) + "\nbackend " + place.backend + "\nformat " + std::string(format) +
         "\nrank " + std::to_string(place.rank) + " of " + std::to_string(place.ranks) + "\n" +
         samples + model.weights_text();
}

// Truncated and corrupt files are worth a warning; that a file is of an older engine or another
// model is the usual course of things.
void say_why_not(const Error& error) {
  log(error.code == Code::kDataLoss ? Severity::kWarning : Severity::kInfo, "load",
      error.to_string() + "; it is made anew");
}

}  // namespace

struct PackedWeights::Job {
  const ModelBuilder& model;
  const iface::Backend& backend;
  std::vector<tenon_weight> weights;
  PackedKey key;
  std::vector<std::string> paths;
  StripePool& pool;
};

std::vector<std::string> packed_paths(const std::string& model_path, const PrepackPlace& place,
                                      std::string_view format, const std::string& other_folder) {
  std::error_code ignored;
  const fs::path model = fs::absolute(model_path, ignored);
  std::string ending = "." + file_name_part(place.backend) + "." + file_name_part(format);
  if (place.ranks > 1)
    ending += "." + std::to_string(place.rank) + "-of-" + std::to_string(place.ranks);
  ending += ".packed";
  std::vector<std::string> out = {model.string() + ending};
  if (!other_folder.empty()) {
    const std::string folder = model.parent_path().string();
    const std::string from = hex(checksum(std::as_bytes(std::span(folder))));
    out.push_back((fs::path(other_folder) / (model.filename().string() + "." + from + ending)));
  }
  return out;
}

Status PackedWeights::load(const ModelBuilder& model, const iface::Backend& backend,
                           std::string_view format, const PrepackPlace& place,
                           const PrepackOptions& options, StripePool& pool) {
  Job job{model, backend, model.weight_records(), {}, {}, pool};
  if (format.empty()) {
    for (const tenon_weight& weight : job.weights) TENON_TRY(backend.load_weight(&weight));
    return {};
  }
  if (options.use_files && model.file().stamp().bytes > 0) {
    Result<std::string> key = key_text(model, backend, format, place);
    // Whatever it cannot pack, it will say of a weight of the model, if it has one such.
    if (key.ok()) {
      job.key = {std::move(*key), job.weights.size(), &model.file()};
      job.paths = packed_paths(model.file().path(), place, format, options.other_folder);
    }
  }
  for (const std::string& path : job.paths) {
    TENON_ASSIGN(const bool loaded, load_from_file(job, path));
    if (loaded) return {};
  }
  std::vector<PackedRow> rows;
  TENON_TRY(pack(job, rows));
  model.file().release_data();
  keep(job, rows);
  return {};
}

// False: there is none, or it is of no use.
Result<bool> PackedWeights::load_from_file(const Job& job, const std::string& path) {
  Result<PackedPayload> read = read_packed_file(path, job.key, job.pool);
  if (!read.ok()) {
    if (read.error().code != Code::kNotFound) say_why_not(read.error());
    return false;
  }
  PackedPayload payload = std::move(*read);
  Status fits;
  for (std::size_t i = 0; fits.ok() && i < job.weights.size(); ++i) {
    const PackedRow& row = payload.rows[i];
    fits = job.backend.adopt_weight(&job.weights[i], payload.memory.data() + row.offset, row.bytes,
                                    row.form);
  }
  job.model.file().release_data();
  if (!fits.ok()) {
    Error error = fits.take_error();
    error.where = path + (error.where.empty() ? "" : ", " + error.where);
    say_why_not(error);
    return false;
  }
  memory_ = std::move(payload.memory);
  file_ = path;
  log(Severity::kInfo, "load", "packed weights from " + path);
  return true;
}

Status PackedWeights::pack(const Job& job, std::vector<PackedRow>& rows) {
  std::uint64_t room = 0;
  for (const tenon_weight& weight : job.weights)
    room += job.backend.packed_bytes(&weight) + kAlignment;
  TENON_ASSIGN(memory_, PackedMemory::reserve(room));
  std::uint64_t at = 0, released = 0;
  for (const tenon_weight& weight : job.weights) {
    if (at - released > kReleaseBytes) {
      job.model.file().release_data();
      released = at;
    }
    const std::uint64_t most = job.backend.packed_bytes(&weight);
    PackedRow row{at, 0, 0, 0};
    TENON_TRY(job.backend.pack_weight(&weight, memory_.data() + at, most, &row.bytes, &row.form));
    if (row.bytes > most)
      return Error{.code = Code::kInternal,
                   .id = "TENON-W009",
                   .message = "a packed weight is larger than the backend said",
                   .where = std::string(weight.name.ptr, weight.name.len),
                   .found = std::to_string(row.bytes) + " bytes",
                   .expected = "at most " + std::to_string(most)};
    rows.push_back(row);
    at = (at + row.bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  memory_.seal(at);
  for (std::size_t i = 0; i < rows.size(); ++i)
    TENON_TRY(job.backend.adopt_weight(&job.weights[i], memory_.data() + rows[i].offset,
                                       rows[i].bytes, rows[i].form));
  return {};
}

void PackedWeights::keep(const Job& job, std::span<const PackedRow> rows) const {
  const std::uint64_t bytes =
      rows.empty()
          ? 0
          : (rows.back().offset + rows.back().bytes + kAlignment - 1) / kAlignment * kAlignment;
  for (std::size_t i = 0; i < job.paths.size(); ++i) {
    const std::string& path = job.paths[i];
    if (i > 0) {
      std::error_code ignored;
      fs::create_directories(fs::path(path).parent_path(), ignored);
    }
    const Status written = write_packed_file(
        path, job.key, rows, memory_.bytes().first(static_cast<std::size_t>(bytes)), job.pool);
    if (written.ok()) {
      log(Severity::kInfo, "load", "packed weights kept in " + path);
      return;
    }
    log(Severity::kInfo, "load", written.error().to_string());
    if (written.error().code != Code::kPermissionDenied) return;
  }
}

}  // namespace tenon
