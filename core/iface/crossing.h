// One checked call across the boundary: what the functions of checked_tables.cc are made of.
//
// A checked function makes a Crossing, hands it the arguments (lend, room, tensor, ...), asks
// may_pass(), calls the real table, hands it what came back, and returns result(). A call that
// breaks a rule does not reach the other side. `plugin` calls go from the core to a plugin;
// `service` calls from a plugin to the core.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/iface/boundary.h"

namespace tenon::iface {

enum class Tag { kLoad, kControl, kStep, kStream, kAny };

struct CallRule {
  const char* name;  // "backend.call"
  Tag tag;
  bool service;         // the core is called
  std::uint64_t bit;    // of this call in CheckedTable::done
  std::uint64_t after;  // calls that must have succeeded before
  bool once;
};

// Where in the arguments a value is: "view.waiting[3].pages".
struct Path {
  const Path* up = nullptr;
  const char* name = "";
  std::int64_t index = -1;
  std::string text() const;
};

enum class Lent { kCall, kStep, kKept };  // kKept: by its rule for longer, so it is not copied

template <class T>
concept HasHeader = requires(T& value) {
  value.hdr.size;
};
template <class T>
inline constexpr std::size_t kSizeOf = sizeof(T);
template <>
inline constexpr std::size_t kSizeOf<const void> = 1;
template <>
inline constexpr std::size_t kSizeOf<void> = 1;

class Crossing {
 public:
  // `call` is the caller's record; null where the call has none.
  Crossing(CheckedTable& table, const CallRule& rule, std::uint64_t lane, tenon_call* call);
  ~Crossing();
  Crossing(const Crossing&) = delete;
  Crossing& operator=(const Crossing&) = delete;

  // False: the call must not be made; result() says why.
  bool may_pass() const { return !misused_; }
  tenon_call* call() { return &call_; }
  // Notes how the call ended. True when it succeeded and answers can be read.
  bool returned(tenon_status status);
  bool returned() { return returned(TENON_OK); }
  tenon_status result();

  // Arguments of the caller. All of them record a misuse of the caller and give null then.
  template <class T>
  T* lend(const char* name, T* given, std::uint64_t count, Lent lent = Lent::kCall,
          bool nullable = false) {
    T* out = given;
    share(Path{nullptr, name}, out, count, lent, nullable);
    return misused_ ? nullptr : out;
  }
  const tenon_hdr* lend_op(const char* name, const tenon_hdr* op);
  void text(const Path& at, tenon_str& value);
  void non_null(const Path& at, const void* pointer);
  void in_range(const Path& at, std::uint64_t value, std::uint64_t least, std::uint64_t most);
  void tensor(const char* name, const tenon_tensor* tensor);
  void tensors(const char* name, tenon_tensor* const* given, std::uint64_t count);
  void gives_up(const char* name, const tenon_tensor* tensor);

  // Room of the caller for an answer: the other side gets memory of its own, with a guard behind.
  template <class T>
  T* room(const char* name, T* given, std::uint64_t count) {
    return static_cast<T*>(open_room(Path{nullptr, name}, given, count * sizeof(T), nullptr));
  }
  // A struct that the other side fills: it gets the caller's copy.
  template <class T>
  T* room_for(const char* name, T* given) {
    const Path at{nullptr, name};
    if constexpr (HasHeader<T>) {
      if (given != nullptr && !size_fits(at, given->hdr.size, sizeof(T))) return nullptr;
    }
    return static_cast<T*>(open_room(at, given, sizeof(T), given));
  }
  // Of a field inside such a struct: points it to the other side's own room.
  template <class T>
  void field_room(const Path& at, T*& field, std::uint64_t count) {
    if (count > 0) field = static_cast<T*>(open_room(at, field, count * sizeof(T), nullptr));
  }

  // Answers. All of them record a misuse of the one who was called.
  void at_most(const Path& at, std::uint64_t count, std::uint64_t most);
  // The first `count` elements of a room: must be set, and are given to the caller.
  template <class T>
  void give(const char* name, const T* mine, T* given, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count && !misused_; ++i) {
      Path at{nullptr, name, count == 1 ? -1 : static_cast<std::int64_t>(i)};
      is_set(at, mine + i, sizeof(T));
      if constexpr (HasHeader<T>) size_fits(at, mine[i].hdr.size, sizeof(T));
    }
    if (!misused_ && count > 0) std::memcpy(given, mine, count * sizeof(T));
  }
  // Handles: each is the other side's to give, and becomes the caller's.
  void give_tensors(const char* name, tenon_tensor* const* mine, tenon_tensor** given,
                    std::uint64_t count);
  // Looks through a filled struct; with kStep what it points to is remembered until the step ends.
  template <class T>
  void answer(const char* name, T& value, Lent lent) {
    const Path at{nullptr, name};
    if constexpr (HasHeader<T>) {
      if (!size_fits(at, value.hdr.size, sizeof(T))) return;
    }
    mode_ = lent == Lent::kStep ? Mode::kRemember : Mode::kLook;
    visit(*this, at, value);
  }
  // The whole of a filled struct, after answer().
  template <class T>
  void fill(const T& mine, T* given) {
    if (!misused_) *given = mine;
  }
  void same_pointer(const Path& at, const void* found, const void* expected);

  // For visit(): a pointer inside a struct. Element by element, and copied as the mode says.
  template <class T>
  void share(const Path& at, T*& pointer, std::uint64_t count, Lent lent = Lent::kCall,
             bool nullable = false) {
    if (misused_ || (pointer == nullptr && (nullable || count == 0))) return;
    non_null(at, pointer);
    if (misused_ || count == 0) return;
    if (lent == Lent::kKept) {
      const Mode before = std::exchange(mode_, Mode::kLook);
      look_through(at, pointer, count);
      mode_ = before;
      return;
    }
    using Plain = std::remove_const_t<T>;
    std::uint64_t bytes = count * kSizeOf<T>;
    if constexpr (HasHeader<T>) {
      if (!size_fits(at, pointer->hdr.size, sizeof(T))) return;
      if (count == 1) bytes = pointer->hdr.size;  // a newer writer's struct goes over whole
    }
    if (bytes > kMostBytes) return too_long(at, bytes);
    if (mode_ == Mode::kLend) {
      Lent longest = lent == Lent::kStep ? Lent::kStep : lending_;
      auto* copy = static_cast<Plain*>(take(bytes, longest));
      std::memcpy(const_cast<std::remove_const_t<Plain>*>(copy), pointer, bytes);
      std::swap(lending_, longest);
      look_through(at, copy, count);
      lending_ = longest;
      pointer = copy;
    } else {
      if (mode_ == Mode::kRemember) remember(at, pointer, bytes);
      look_through(at, pointer, count);
    }
  }
  void one_of(const Path& at, std::int64_t value, std::span<const std::int64_t> known);

 private:
  enum class Mode { kLend, kLook, kRemember };
  struct Room {
    const char* name;
    const unsigned char* guard;
  };
  static constexpr std::size_t kGuard = 64, kMostRooms = 8;
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40;

  template <class T>
  void look_through(const Path& at, T* pointer, std::uint64_t count) {
    if constexpr (std::is_class_v<std::remove_const_t<T>>) {
      for (std::uint64_t i = 0; i < count && !misused_; ++i) {
        const Path element{at.up, at.name, count == 1 ? -1 : static_cast<std::int64_t>(i)};
        auto& value = const_cast<std::remove_const_t<T>&>(pointer[i]);
        if constexpr (HasHeader<T>) {
          if (!size_fits(element, value.hdr.size, sizeof(T))) return;
        }
        visit(*this, element, value);
      }
    }
  }
  void check_phase();
  void check_lifecycle();
  void check_breadcrumb();
  void misuse(bool of_caller, const char* id, std::string_view message, std::string found,
              std::string expected);
  bool looks_at_answer() const { return returned_; }
  bool size_fits(const Path& at, std::uint64_t found, std::uint64_t least);
  void too_long(const Path& at, std::uint64_t bytes);
  void is_set(const Path& at, const void* element, std::size_t bytes);
  void* open_room(const Path& at, const void* given, std::size_t bytes, const void* initial);
  void* take(std::size_t bytes, Lent lent);
  void remember(const Path& at, const void* original, std::size_t bytes);
  TensorState state_of(const tenon_tensor* tensor) const;
  static void set_error(tenon_call* call, tenon_status code, const char* text, uint64_t length);

  CheckedTable& table_;
  const CallRule& rule_;
  const std::uint64_t lane_;
  tenon_call* const outer_;
  Crossing* const up_;  // the call that this thread is inside of
  tenon_call call_{};
  std::string message_;
  tenon_status status_ = TENON_OK;
  bool misused_ = false, returned_ = false, in_lane_ = false;
  Mode mode_ = Mode::kLend;
  Lent lending_ = Lent::kCall;
  std::unique_ptr<Loan> loan_;
  Room rooms_[kMostRooms];
  std::size_t n_rooms_ = 0;
};

// tenon_view is not in the IDL.
void visit(Crossing& x, const Path& at, tenon_view& view);

}  // namespace tenon::iface
