// A backend by itself: ops called without a model, with an engine's threads as its only service.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/conform/rig.h"

namespace tenon::conform {

class BackendRig {
 public:
  static Result<std::unique_ptr<BackendRig>> open(const PluginFile& file, ResolvedParams params,
                                                  std::uint32_t threads = 2,
                                                  std::uint32_t stripes = 3) {
    auto out = std::unique_ptr<BackendRig>(new BackendRig);
    TENON_ASSIGN(out->rig_,
                 Rig::open(file, std::move(params),
                           {.checked = false, .threads = threads, .stripes_per_thread = stripes}));
    TENON_ASSIGN(out->backend_,
                 (out->rig_->as<iface::Backend, tenon_backend_v1>(TENON_BACKEND_ID)));
    out->info_.hdr = {sizeof(tenon_backend_info), 0, nullptr};
    TENON_TRY(out->backend_.describe(&out->info_));
    return out;
  }

  const iface::Backend& table() const { return backend_; }
  bool is_double() const { return info_.activation.bits == 64; }

  // Activations are given and taken as floats; the exact reference computes in doubles.
  std::vector<std::byte> to_device(const std::vector<float>& values) const {
    std::vector<std::byte> out(values.size() * (is_double() ? 8 : 4));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (is_double()) {
        const double value = values[i];
        std::memcpy(out.data() + 8 * i, &value, 8);
      } else {
        std::memcpy(out.data() + 4 * i, &values[i], 4);
      }
    }
    return out;
  }
  std::vector<float> to_floats(const std::vector<std::byte>& bytes) const {
    std::vector<float> out(bytes.size() / (is_double() ? 8 : 4));
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (is_double()) {
        double value;
        std::memcpy(&value, bytes.data() + 8 * i, 8);
        out[i] = static_cast<float>(value);
      } else {
        std::memcpy(&out[i], bytes.data() + 4 * i, 4);
      }
    }
    return out;
  }

  struct Matrix {
    std::vector<float> values;
    std::int64_t rows, columns;
  };
  // Calls an op on matrices of activations (after `ids`, if there are any) and gives the outputs,
  // complete.
  Result<std::vector<Matrix>> call(
      const tenon_hdr* op, const std::vector<Matrix>& in,
      const std::vector<std::pair<std::int64_t, std::int64_t>>& out_shapes,
      const std::vector<std::int32_t>* ids = nullptr) const {
    struct Buffer {
      std::vector<std::byte> bytes;
      std::int64_t shape[2], strides[2];
    };
    std::vector<Buffer> buffers;
    buffers.reserve(in.size() + out_shapes.size() + 1);
    std::vector<tenon_view> in_views, out_views;
    const auto add = [&](std::vector<std::byte> bytes, std::int64_t rows, std::int64_t columns,
                         tenon_dl_type type, int rank, std::vector<tenon_view>& to) {
      buffers.push_back({std::move(bytes), {rows, columns}, {rank == 2 ? columns : 1, 1}});
      to.push_back({buffers.back().bytes.data(),
                    {1, 0},
                    rank,
                    type,
                    buffers.back().shape,
                    buffers.back().strides,
                    0});
    };
    if (ids != nullptr) {
      std::vector<std::byte> bytes(ids->size() * 4);
      std::memcpy(bytes.data(), ids->data(), bytes.size());
      add(std::move(bytes), static_cast<std::int64_t>(ids->size()), 1, {0, 32, 1}, 1, in_views);
    }
    for (const Matrix& m : in)
      add(to_device(m.values), m.rows, m.columns, info_.activation, 2, in_views);
    for (const auto& [rows, columns] : out_shapes)
      add(to_device(std::vector<float>(static_cast<std::size_t>(rows * columns), -77.0f)), rows,
          columns, info_.activation, 2, out_views);
    TENON_TRY(backend_.call(op, in_views.data(), static_cast<std::uint32_t>(in_views.size()),
                            out_views.data(), static_cast<std::uint32_t>(out_views.size())));
    TENON_TRY(backend_.sync());
    std::vector<Matrix> out;
    for (std::size_t i = 0; i < out_shapes.size(); ++i)
      out.push_back({to_floats(buffers[buffers.size() - out_shapes.size() + i].bytes),
                     out_shapes[i].first, out_shapes[i].second});
    return out;
  }

 private:
  BackendRig() = default;

  std::unique_ptr<Rig> rig_;
  iface::Backend backend_;
  tenon_backend_info info_{};
};

// A random weight in canonical planes. Scales and mins are halves, or floats that are not: wide.
struct RandomWeight {
  tenon_layout layout;
  std::int64_t n, k;
  bool has_min;
  std::vector<float> floats, scales, mins;
  std::vector<std::int8_t> values;

  RandomWeight(tenon_layout layout, std::int64_t n, std::int64_t k, bool has_min,
               std::mt19937& random, bool wide = false)
      : layout(layout), n(n), k(k), has_min(has_min) {
    std::normal_distribution<float> normal(0, 1);
    if (layout == TENON_LAYOUT_F32) {
      for (std::int64_t i = 0; i < n * k; ++i) floats.push_back(normal(random));
      return;
    }
    for (std::int64_t i = 0; i < n * k; ++i)
      values.push_back(
          static_cast<std::int8_t>(layout == TENON_LAYOUT_Q4M32 ? random() % 16 : random()));
    // 17 bits, as a product of a half and six bits has.
    const unsigned steps = wide ? 131072 : 2048;
    for (std::int64_t i = 0; i < n * k / group(); ++i) {
      scales.push_back(static_cast<float>(random() % steps) / static_cast<float>(steps * 32));
      mins.push_back((static_cast<float>(random() % steps) - static_cast<float>(steps / 2)) /
                     static_cast<float>(steps * 2));
    }
  }

  std::int64_t group() const { return layout == TENON_LAYOUT_Q8N16 ? 16 : 32; }

  // The values as types of five bits have them: 0 to 31 beside mins, else -16 to 15.
  void keep_five_bits() {
    for (std::int8_t& value : values)
      value = static_cast<std::int8_t>((value & 31) - (has_min ? 0 : 16));
  }

  // Borrows this.
  tenon_weight record(std::uint32_t id) {
    const auto read = [](void* ctx, std::int64_t first, std::int64_t rows, void* out,
                         float* out_scales, float* out_mins) {
      const auto& w = *static_cast<RandomWeight*>(ctx);
      const auto copy = [&](const auto& plane, auto* to, std::int64_t width) {
        if (to != nullptr && !plane.empty())
          std::copy_n(plane.begin() + first * width, rows * width, to);
      };
      copy(w.floats, static_cast<float*>(out), w.k);
      copy(w.values, static_cast<std::int8_t*>(out), w.k);
      copy(w.scales, out_scales, w.k / w.group());
      copy(w.mins, out_mins, w.k / w.group());
    };
    return {{sizeof(tenon_weight), 0, nullptr}, {"w", 1}, id, layout, n, k, has_min, 0, read, this};
  }
  Status load(const iface::Backend& backend, std::uint32_t id) {
    const tenon_weight weight = record(id);
    return backend.load_weight(&weight);
  }
};

inline BackendRig::Matrix random_matrix(std::int64_t rows, std::int64_t columns,
                                        std::mt19937& random, float scale = 1) {
  BackendRig::Matrix out{{}, rows, columns};
  std::normal_distribution<float> normal(0, scale);
  for (std::int64_t i = 0; i < rows * columns; ++i) out.values.push_back(normal(random));
  return out;
}

}  // namespace tenon::conform
