// Borrowed tensors as matrices of host memory, with checks that name the tensor. A backend is given
// shapes that the core has checked; this is for code that others call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "tenon/sdk/status.hpp"

namespace tenon::sdk {

// [rows, columns], without gaps.
template <class T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t size() const { return rows * columns; }
};

inline std::string shape_text(const tenon_view& view) {
  std::string out = "[";
  for (std::int32_t i = 0; i < view.ndim; ++i)
    out += (i > 0 ? ", " : "") + std::to_string(view.shape[i]);
  return out + "]";
}

template <class T>
constexpr tenon_dl_type dtype_of() {
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
  return {static_cast<std::uint8_t>(std::is_floating_point_v<T> ? 2 : std::is_unsigned_v<T>),
          sizeof(T) * 8, 1};
}

// A view with one or two dimensions ([n] is one row), of T, in host memory, without gaps.
template <class T>
Status matrix_of(const tenon_view& view, std::string_view name, Matrix<T>& out) {
  const tenon_dl_type want = dtype_of<std::remove_const_t<T>>();
  const auto refuse = [&](const std::string& why) {
    return invalid_argument("tensor \"" + std::string(name) + "\" " + shape_text(view) + " " + why);
  };
  if (view.device.device_type != 1) return refuse("is not in host memory");
  if (view.dtype.code != want.code || view.dtype.bits != want.bits || view.dtype.lanes != 1)
    return refuse("has values of type " + std::to_string(view.dtype.code) + " with " +
                  std::to_string(view.dtype.bits) + " bits; expected type " +
                  std::to_string(want.code) + " with " + std::to_string(want.bits));
  if (view.ndim != 1 && view.ndim != 2) return refuse("has neither one nor two dimensions");
  const std::int64_t rows = view.ndim == 1 ? 1 : view.shape[0], columns = view.shape[view.ndim - 1];
  if ((columns > 1 && view.strides[view.ndim - 1] != 1) || (rows > 1 && view.strides[0] != columns))
    return refuse("has gaps");
  out = {reinterpret_cast<T*>(static_cast<std::byte*>(view.data) + view.byte_offset), rows,
         columns};
  return {};
}

// The same with a shape that must be met.
template <class T>
Status matrix_of(const tenon_view& view, std::string_view name, std::int64_t rows,
                 std::int64_t columns, Matrix<T>& out) {
  TENON_SDK_TRY(matrix_of(view, name, out));
  if (rows == out.rows && columns == out.columns) return {};
  return invalid_argument("tensor \"" + std::string(name) + "\" is " + shape_text(view) +
                          "; expected [" + std::to_string(rows) + ", " + std::to_string(columns) +
                          "]");
}

}  // namespace tenon::sdk
