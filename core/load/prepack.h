// A rank's weights from the model file to the backend: in the backend's packed form where it has
// one, from a file that an earlier start has left where there is one.
// docs/operate/packed-weights.md says which files, docs/design/0011-prepacked-weights.md why.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/stripe_pool.h"
#include "core/iface/tables.h"
#include "core/load/model_loader.h"
#include "core/load/packed_file.h"

namespace tenon {

struct PrepackOptions {
  bool use_files = false;    // read and write files of packed weights
  std::string other_folder;  // for those of models whose own folder cannot be written; may be empty
};

struct PrepackPlace {
  std::string backend;  // the plugin's id
  std::uint32_t rank = 0, ranks = 1;
};

// Where a model's packed weights are looked for, and kept in the first that can be written.
std::vector<std::string> packed_paths(const std::string& model_path, const PrepackPlace& place,
                                      std::string_view format, const std::string& other_folder);

// The memory of weights that a backend has adopted: outlives the backend's instance.
class PackedWeights {
 public:
  // Gives all weights of the model to the backend. Errors are the backend's and W001; what is wrong
  // with a file is logged, and the weights are packed.
  Status load(const ModelBuilder& model, const iface::Backend& backend, std::string_view format,
              const PrepackPlace& place, const PrepackOptions& options, StripePool& pool);
  // The file that they were read from; empty: they were packed, or the backend does not pack.
  const std::string& file() const { return file_; }

 private:
  struct Job;
  Result<bool> load_from_file(const Job& job, const std::string& path);
  Status pack(const Job& job, std::vector<PackedRow>& rows);
  void keep(const Job& job, std::span<const PackedRow> rows) const;

  PackedMemory memory_;
  std::string file_;
};

}  // namespace tenon
