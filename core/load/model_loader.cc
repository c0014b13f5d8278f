#include "core/load/model_loader.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace tenon {
namespace {

std::string_view view_of(tenon_str text) { return {text.ptr, text.len}; }

std::string shape_text(const GgufTensor& tensor) {
  std::string out = "[";
  for (std::size_t i = tensor.shape.size(); i > 0; --i)
    out += std::to_string(tensor.shape[i - 1]) + (i > 1 ? ", " : "");
  return out + "]";
}

std::string geometry_text(const tenon_attention_geometry& g) {
  return std::to_string(g.layers) + " layers, heads " + std::to_string(g.q_heads) + "/" +
         std::to_string(g.kv_heads) + " of " + std::to_string(g.head_dim) + ", rope " +
         std::to_string(g.rope_dims) + ", scale " + std::to_string(g.scale);
}

Error declaration(const GgufFile* file, std::string_view name, std::string message,
                  std::string found, std::string expected) {
  return {.code = Code::kInvalidArgument,
          .id = "TENON-R050",
          .message = std::move(message),
          .where = file->path() + ", tensor \"" + std::string(name) + "\"",
          .found = std::move(found),
          .expected = std::move(expected)};
}

}  // namespace

Status ModelBuilder::get_uint(tenon_str key, std::uint64_t* out) {
  TENON_ASSIGN(*out, file_->get_uint(view_of(key)));
  return {};
}

Status ModelBuilder::get_float(tenon_str key, double* out) {
  TENON_ASSIGN(*out, file_->get_float(view_of(key)));
  return {};
}

Status ModelBuilder::get_string(tenon_str key, tenon_str* out) {
  TENON_ASSIGN(const std::string_view text, file_->get_string(view_of(key)));
  *out = {text.data(), text.size()};
  return {};
}

std::int32_t ModelBuilder::has_key(tenon_str key) { return file_->has(view_of(key)) ? 1 : 0; }

std::int32_t ModelBuilder::tensor_shape(tenon_str name, std::int64_t* n, std::int64_t* k) {
  const GgufTensor* tensor = file_->find_tensor(view_of(name));
  if (tensor == nullptr || tensor->shape.size() > 2) return 0;
  *k = static_cast<std::int64_t>(tensor->shape[0]);
  *n = tensor->shape.size() == 2 ? static_cast<std::int64_t>(tensor->shape[1]) : 1;
  return 1;
}

Status ModelBuilder::declare(tenon_str name, std::int64_t n, std::int64_t k, bool vector,
                             std::uint32_t* out) {
  const std::string text(view_of(name));
  TENON_ASSIGN(const GgufTensor* tensor, file_->get_tensor(text));
  const auto known = std::find_if(sources_.begin(), sources_.end(),
                                  [&](const Source& source) { return source.tensor == tensor; });
  std::int64_t found_n = 0, found_k = 0;
  if (!tensor_shape(name, &found_n, &found_k) || found_n != n || found_k != k)
    return declaration(file_, text, "the shape does not fit the metadata", shape_text(*tensor),
                       vector ? "[" + std::to_string(k) + "]"
                              : "[" + std::to_string(n) + ", " + std::to_string(k) + "]");
  if (known != sources_.end()) {  // a tied weight: one tensor, one id
    *out = static_cast<std::uint32_t>(known - sources_.begin());
    return {};
  }
  Result<const Codec*> codec = find_codec(tensor->type);
  if (!codec.ok()) {
    Error error = codec.take_error();
    error.where = file_->path() + ", tensor \"" + text + "\"";
    return error;
  }
  const bool quantised = (*codec)->layout != TENON_LAYOUT_F32;
  if (vector && quantised)
    return declaration(file_, text, "a vector parameter must be stored as floats",
                       std::string(ggml_type_info(tensor->type).name), "F32, F16 or BF16");
  if (quantised && k % 32 != 0)
    return declaration(file_, text, "a quantised row is made of groups of 32", std::to_string(k),
                       "a multiple of 32");
  *out = static_cast<std::uint32_t>(sources_.size());
  sources_.push_back({tensor, *codec, {.n = n, .k = k}, k});
  shape_.weights.push_back({text, n, k, (*codec)->layout, tensor->data.size(), (*codec)->has_min});
  return {};
}

Status ModelBuilder::site(const tenon_site* site, std::uint32_t* out) {
  TENON_TRY(declare(site->name, site->n, site->k, false, out));
  Site& made = sources_[*out].site;
  if (!view_of(site->module).empty()) made.module = view_of(site->module);
  made.split_n = static_cast<tenon_split>(site->split_n);
  made.split_k = static_cast<tenon_split>(site->split_k);
  made.paired_heads = site->paired_heads;
  if (!made.module.empty() && made.paired_heads > 0 && made.n % (2 * made.paired_heads) != 0)
    return declaration(file_, view_of(site->name), "the outputs are not heads of pairs",
                       std::to_string(made.n) + " outputs",
                       "a multiple of " + std::to_string(2 * made.paired_heads));
  return {};
}

Status ModelBuilder::param(tenon_str name, std::int64_t n, std::uint32_t* out) {
  return declare(name, 1, n, true, out);
}

Status ModelBuilder::port(tenon_str name, std::uint32_t* out) {
  *out = static_cast<std::uint32_t>(shape_.ports.size());
  shape_.ports.emplace_back(view_of(name));
  return {};
}

Status ModelBuilder::linear_group(const tenon_linear_group* group, std::uint32_t* out) {
  const auto bad = [&](std::string message) {
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R052",
                 .message = "linear group: " + std::move(message),
                 .where = "group " + std::to_string(shape_.groups.size())};
  };
  LinearGroupShape made{{group->weights, group->weights + group->n_weights},
                        static_cast<tenon_epilogue>(group->epilogue),
                        group->norm,
                        group->post_norm,
                        group->norm_eps};
  for (const std::uint32_t id : made.weights)
    if (id >= shape_.weights.size()) return bad("no such weight");
  if (made.weights.empty()) return bad("it has no weights");
  for (const std::int32_t norm : {made.norm, made.post_norm})
    if (norm >= 0 && !is_vector(norm)) return bad("its norm is not a vector parameter");
  if ((made.norm >= 0 || made.post_norm >= 0) &&
      !(std::isfinite(made.norm_eps) && made.norm_eps >= 0))
    return bad("its norm's epsilon is " + std::to_string(made.norm_eps) +
               ", not a number of at least 0");
  const WeightShape& first = shape_.weights[made.weights[0]];
  for (const std::uint32_t id : made.weights)
    if (shape_.weights[id].k != first.k) return bad("its weights have rows of different lengths");
  if (made.norm >= 0 && shape_.weights[static_cast<std::size_t>(made.norm)].k != first.k)
    return bad("its norm does not fit its weights");
  if (made.gated() && (made.weights.size() != 2 || shape_.weights[made.weights[1]].n != first.n))
    return bad("a gate needs two weights of one shape, gate and up");
  if (made.post_norm >= 0 &&
      (made.epilogue != TENON_EPILOGUE_RESIDUAL ||
       shape_.weights[static_cast<std::size_t>(made.post_norm)].k != first.n))
    return bad("a post norm stands before a residual, with the width of the outputs");
  if (made.epilogue == TENON_EPILOGUE_RESIDUAL && made.weights.size() != 1)
    return bad("a residual needs one weight");
  *out = static_cast<std::uint32_t>(shape_.groups.size());
  shape_.groups.push_back(std::move(made));
  return {};
}

bool ModelBuilder::is_vector(std::int32_t weight) const {
  const auto id = static_cast<std::size_t>(weight);
  return id < shape_.weights.size() && shape_.weights[id].layout == TENON_LAYOUT_F32 &&
         shape_.weights[id].n == 1;
}

Status ModelBuilder::attention(const tenon_attention_geometry* geometry) {
  shape_.attention = *geometry;
  shape_.attention_layers.clear();
  if (geometry->layers > 0 && geometry->of_layer != nullptr)
    shape_.attention_layers.assign(geometry->of_layer, geometry->of_layer + geometry->layers);
  shape_.attention.of_layer = shape_.attention_layers.data();
  return {};
}

Status ModelBuilder::decoder(const tenon_decoder* decoder) {
  shape_.decoder = *decoder;
  return {};
}

Status ModelBuilder::check_complete() const {
  const tenon_attention_geometry& g = shape_.attention;
  const bool stream = shape_.decoder.layers > 0 && shape_.decoder.width > 0 &&
                      shape_.decoder.vocabulary > 0 && shape_.decoder.context > 0;
  const bool heads = g.layers == shape_.decoder.layers && g.kv_heads > 0 && g.q_heads > 0 &&
                     g.q_heads % g.kv_heads == 0 && g.head_dim > 0 && g.head_dim <= 512;
  const bool rope = g.rope_dims >= 0 && g.rope_dims <= g.head_dim && g.rope_dims % 2 == 0;
  const auto usable = [&](const tenon_attention_layer& layer) {
    const auto norm_fits = [&](std::int32_t norm) {
      return norm < 0 ||
             (is_vector(norm) && shape_.weights[static_cast<std::size_t>(norm)].k == g.head_dim);
    };
    return layer.window >= 0 && norm_fits(layer.q_norm) && norm_fits(layer.k_norm) &&
           (g.rope_dims == 0 || (std::isfinite(layer.rope_base) && layer.rope_base > 0));
  };
  const bool layers =
      shape_.attention_layers.size() == static_cast<std::size_t>(std::max(g.layers, 0)) &&
      std::all_of(shape_.attention_layers.begin(), shape_.attention_layers.end(), usable);
  if (stream && heads && rope && layers && std::isfinite(g.scale) && std::isfinite(g.norm_eps) &&
      g.norm_eps >= 0)
    return {};
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-R051",
               .message = stream ? "the model plugin declared no usable attention geometry"
                                 : "the model plugin declared no decoder",
               .where = file_->path(),
               .found = stream ? geometry_text(g) : ""};
}

// A rank's columns lie at whole quantisation groups of a row, which is expanded as a whole.
void ModelBuilder::read_rows(void* ctx, std::int64_t first, std::int64_t rows, void* values,
                             float* scales, float* mins) {
  const auto& source = *static_cast<const Source*>(ctx);
  const Site& site = source.site;
  const std::int64_t k = site.k, kept = source.kept_k;
  const std::uint64_t bytes = row_bytes(source.tensor->type, k),
                      value_bytes = source.codec->layout == TENON_LAYOUT_F32 ? 4 : 1;
  const std::int64_t group = layout_group(source.codec->layout), groups = k / group,
                     kept_groups = kept / group;
  const bool whole = kept == k;
  std::vector<std::byte> row(whole ? 0 : static_cast<std::size_t>(k) * value_bytes);
  std::vector<float> row_scales(whole ? 0 : static_cast<std::size_t>(groups)),
      row_mins(row_scales.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* from =
        source.tensor->data.data() + static_cast<std::uint64_t>(site.row_begin + first + r) * bytes;
    auto* out =
        static_cast<std::byte*>(values) + static_cast<std::uint64_t>(r * kept) * value_bytes;
    float* out_scales = scales != nullptr ? scales + r * kept_groups : nullptr;
    float* out_mins = mins != nullptr ? mins + r * kept_groups : nullptr;
    if (whole) {
      source.codec->expand_row(from, k, out, out_scales, out_mins);
      continue;
    }
    source.codec->expand_row(from, k, row.data(), scales != nullptr ? row_scales.data() : nullptr,
                             mins != nullptr ? row_mins.data() : nullptr);
    std::copy_n(row.begin() + static_cast<std::ptrdiff_t>(
                                  static_cast<std::uint64_t>(site.col_begin) * value_bytes),
                static_cast<std::uint64_t>(kept) * value_bytes, out);
    if (scales != nullptr)
      std::copy_n(row_scales.begin() + site.col_begin / group, kept_groups, out_scales);
    if (mins != nullptr)
      std::copy_n(row_mins.begin() + site.col_begin / group, kept_groups, out_mins);
  }
}

std::vector<tenon_weight> ModelBuilder::weight_records() const {
  std::vector<tenon_weight> out;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const WeightShape& shape = shape_.weights[i];
    out.push_back({{sizeof(tenon_weight), 0, nullptr},
                   {shape.name.data(), shape.name.size()},
                   static_cast<std::uint32_t>(i),
                   shape.layout,
                   shape.n,
                   shape.k,
                   sources_[i].codec->has_min ? 1 : 0,
                   TENON_WEIGHT_USE_PRODUCT,
                   &ModelBuilder::read_rows,
                   const_cast<Source*>(&sources_[i])});
  }
  return out;
}

std::string ModelBuilder::weights_text() const {
  std::string out;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const WeightShape& shape = shape_.weights[i];
    const Site& site = sources_[i].site;
    out += shape.name + " " + std::string(ggml_type_info(stored_type(i)).name) + " layout " +
           std::to_string(shape.layout) + (sources_[i].codec->has_min ? " with min [" : " [") +
           std::to_string(shape.n) + ", " + std::to_string(shape.k) + "] at [" +
           std::to_string(site.row_begin) + ", " + std::to_string(site.col_begin) + "]\n";
  }
  return out;
}

Status ModelBuilder::load_groups(const iface::Backend& backend) const {
  for (std::size_t i = 0; i < shape_.groups.size(); ++i) {
    const LinearGroupShape& group = shape_.groups[i];
    const tenon_linear_group record{{sizeof record, 0, nullptr},
                                    static_cast<std::uint32_t>(i),
                                    group.epilogue,
                                    group.norm,
                                    static_cast<std::uint32_t>(group.weights.size()),
                                    group.norm_eps,
                                    group.weights.data(),
                                    group.post_norm,
                                    0};
    TENON_TRY(backend.prepare_linear_group(&record));
  }
  return backend.sync();
}

void rope_rows(void* geometry, std::int32_t layer, std::int32_t first, std::int32_t rows,
               double* out) {
  const auto& g = *static_cast<const tenon_attention_geometry*>(geometry);
  const std::int32_t half = g.rope_dims / 2;
  const double base = g.of_layer[layer].rope_base;
  for (std::int32_t i = 0; i < half; ++i) {
    const double frequency = std::pow(base, -2.0 * i / g.rope_dims);
    for (std::int32_t row = 0; row < rows; ++row) {
      const std::int32_t position = first + row;
      double* at = out + 2 * (static_cast<std::ptrdiff_t>(row) * half + i);
      at[0] = std::cos(position * frequency);
      at[1] = std::sin(position * frequency);
    }
  }
}

}  // namespace tenon
