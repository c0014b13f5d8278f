// From a model file and a model plugin to a declared model, and from there to weights in the
// backend. The model plugin declares through tenon.builder before a single weight is read; whatever
// is wrong is refused here by name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/format/gguf.h"
#include "core/iface/tables.h"
#include "core/ops/model_shape.h"
#include "core/tensor/codec.h"

namespace tenon {

// Implements tenon.builder/1 (core/iface/tables.h, make_builder_table).
class ModelBuilder {
 public:
  explicit ModelBuilder(const GgufFile* file) : file_(file) {}

  Status get_uint(tenon_str key, std::uint64_t* out);
  Status get_float(tenon_str key, double* out);
  Status get_string(tenon_str key, tenon_str* out);
  std::int32_t has_key(tenon_str key);
  std::int32_t tensor_shape(tenon_str name, std::int64_t* n, std::int64_t* k);
  Status site(const tenon_site* site, std::uint32_t* out);
  Status param(tenon_str name, std::int64_t n, std::uint32_t* out);
  Status port(tenon_str name, std::uint32_t* out);
  Status linear_group(const tenon_linear_group* group, std::uint32_t* out);
  Status attention(const tenon_attention_geometry* geometry);
  Status decoder(const tenon_decoder* decoder);

  ModelShape& shape() { return shape_; }
  // A declared site, beside shape().weights.
  struct Site {
    std::string module;         // the published name; empty: adapters cannot bind here
    std::int64_t n = 0, k = 0;  // of the whole weight
    std::int64_t row_begin = 0, col_begin = 0;  // of this rank's part
    tenon_split split_n = TENON_SPLIT_NONE, split_k = TENON_SPLIT_NONE;
    std::int32_t paired_heads = 0;
  };
  const Site& site(std::uint32_t weight) const { return sources_[weight].site; }

  // What ranks can cut the declared model along.
  tenon_split_units split_units() const;
  // Leaves of the declared model what one rank holds: rows and columns of weights, heads, and for a
  // weight whose columns are cut a group that ends at its products (LinearGroupShape::partial).
  // TENON-R070: a cut through a quantisation group; TENON-R052: a group that cannot be cut there.
  Status cut(const tenon_rank_share& share);
  // What is still missing after the plugin's load() has returned; TENON-R051.
  Status check_complete() const;
  // The declared weights, in the order of their ids, as a backend takes them.
  std::vector<tenon_weight> weight_records() const;
  // A line for each: what it is, and which part of it this rank holds.
  std::string weights_text() const;
  std::size_t weights() const { return sources_.size(); }
  GgmlType stored_type(std::size_t weight) const { return sources_[weight].tensor->type; }
  // Hands every group to the backend, after its weights.
  Status load_groups(const iface::Backend& backend) const;
  const GgufFile& file() const { return *file_; }

 private:
  struct Source {
    const GgufTensor* tensor;
    const Codec* codec;
    Site site;
    std::int64_t kept_k;  // columns of this rank's part
  };
  static void read_rows(void* ctx, std::int64_t first, std::int64_t rows, void* values,
                        float* scales, float* mins);
  Status cut_weight(std::size_t weight, const tenon_rank_share& share);
  Status cut_group(LinearGroupShape& group);
  bool is_vector(std::int32_t weight) const;  // a declared vector parameter
  Status declare(tenon_str name, std::int64_t n, std::int64_t k, bool vector, std::uint32_t* out);

  const GgufFile* file_;
  ModelShape shape_;
  std::vector<Source> sources_;  // beside shape_.weights
};

// Do the shares cover the model, each query head beside the key-value head that it reads?
// TENON-R070 names the rank. `owner`: the plugin that made them.
Status check_shares(const tenon_split_units& units, std::span<const tenon_rank_share> shares,
                    const std::string& owner);

// A tenon_rope_rows_fn over a tenon_attention_geometry: libm's doubles.
void rope_rows(void* geometry, std::int32_t layer, std::int32_t first, std::int32_t rows,
               double* out);

}  // namespace tenon
