// The files of an adapter, as its publisher wrote them: a folder with adapter_config.json and
// adapter_model.safetensors. What they mean is the adapter plugin's business.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tenon/abi/adapter.h"

namespace tenon {

class AdapterFiles {
 public:
  // Errors: TENON-D010 no configuration, D011 it is too large, D012 no tensors (an
  // adapter_model.bin is not read: it is a program), and those of the safetensors reader.
  static Result<AdapterFiles> read(const std::string& folder);
  AdapterFiles(AdapterFiles&&) noexcept;
  AdapterFiles& operator=(AdapterFiles&&) noexcept;
  ~AdapterFiles();

  const std::string& folder() const;
  const std::string& config() const;
  // SHA-256 of the content: configuration, and name, type, shape and bytes of every tensor. The
  // same adapter in another folder has the same identity; another version under the same name has
  // not.
  const std::string& identity() const;
  std::uint64_t tensor_bytes() const;
  // As plugins see it; of `name` too it only borrows.
  tenon_adapter_source source(const std::string& name) const;
  // Gives the tensors' memory back; a source given before has none any more.
  void close_tensors();

 private:
  struct State;
  explicit AdapterFiles(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
