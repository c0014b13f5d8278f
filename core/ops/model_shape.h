// What a model declared when it was loaded: the shapes against which every op call is checked. Ids
// index these vectors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/abi/builder.h"
#include "tenon/abi/ops.h"

namespace tenon {

struct WeightShape {
  std::string name;  // as in the file
  std::int64_t n = 0, k = 0;
  tenon_layout layout = TENON_LAYOUT_F32;
  std::uint64_t bytes = 0;  // in the file
  bool has_min = false;
};

struct LinearGroupShape {
  std::vector<std::uint32_t> weights;
  tenon_epilogue epilogue = TENON_EPILOGUE_NONE;
  std::int32_t norm = -1;
  std::int32_t post_norm = -1;  // of the products, before the residual is added
  double norm_eps = 0;
  // With ranks: the products are one rank's part of a sum. The group ends there (epilogue none);
  // the sum over ranks, its norm and the residual follow.
  bool partial = false;
  std::int32_t reduce_norm = -1;
  bool gated() const {
    return epilogue == TENON_EPILOGUE_SILU_MUL || epilogue == TENON_EPILOGUE_GELU_MUL;
  }
};

struct ModelShape {
  tenon_decoder decoder{};
  tenon_attention_geometry attention{};  // of_layer points into attention_layers
  std::vector<tenon_attention_layer> attention_layers;
  tenon_dl_type activation{};  // the backend's
  std::vector<WeightShape> weights;
  std::vector<LinearGroupShape> groups;
  std::vector<std::string> ports;
};

}  // namespace tenon
