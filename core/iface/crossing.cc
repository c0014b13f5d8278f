#include "core/iface/crossing.h"

#include <utility>

#include "core/iface/message.h"

namespace tenon::iface {
namespace {

// The innermost call that this thread is in: a plugin may call services only from inside a call of
// its own.
thread_local Crossing* innermost = nullptr;

const char* name_of(Tag tag) {
  switch (tag) {
    case Tag::kLoad:
      return "while the engine loads";
    case Tag::kControl:
      return "between steps";
    case Tag::kStep:
      return "inside a step";
    default:
      return "at any time";
  }
}

}  // namespace

std::string Path::text() const {
  std::string out = up != nullptr ? up->text() + "." + name : name;
  if (index >= 0) out += "[" + std::to_string(index) + "]";
  return out;
}

Crossing::Crossing(CheckedTable& table, const CallRule& rule, std::uint64_t lane, tenon_call* call)
    : table_(table),
      rule_(rule),
      lane_(std::uint64_t{1} << lane % 64),
      outer_(call),
      up_(innermost) {
  call_.hdr = {sizeof call_, 0, nullptr};
  call_.ctx = this;
  call_.set_error = &Crossing::set_error;
  innermost = this;
  // What a void call or a service has found: the next call to a plugin reports it.
  if (!rule.service && outer_ != nullptr && table.party->boundary->has_misuse()) {
    misused_ = true;
    return;
  }
  check_lifecycle();
  if (!misused_) check_phase();
  if (!misused_ && rule.service) check_breadcrumb();
}

Crossing::~Crossing() {
  innermost = up_;
  if (in_lane_) table_.busy.fetch_and(~lane_);
  if (loan_ != nullptr) table_.loans.put_back(std::move(loan_));
}

void Crossing::misuse(bool of_caller, const char* id, std::string_view message, std::string found,
                      std::string expected) {
  misused_ = true;
  Error error =
      boundary_error(of_caller == rule_.service ? Blame::kPlugin : Blame::kHost, id, *table_.party,
                     rule_.name, message, std::move(found), std::move(expected));
  message_ = error.to_string();
  table_.party->boundary->record(std::move(error));
}

void Crossing::check_lifecycle() {
  const Party& party = *table_.party;
  if (party.destroyed)
    return misuse(true, "TENON-P082", "a call after destroy()", "a destroyed instance",
                  "calls until destroy() alone");
  const std::uint64_t done = table_.done;
  if (rule_.once && (done & rule_.bit) != 0)
    return misuse(true, "TENON-P082", "a second call of what is called once", "a second call",
                  "one");
  if ((done & rule_.after) != rule_.after)
    return misuse(true, "TENON-P082", "a call before the calls that must come first",
                  "a call that came too early", "the order that the interface states");
}

void Crossing::check_phase() {
  if (rule_.tag == Tag::kAny) return;
  const Boundary& boundary = *table_.party->boundary;
  if (boundary.tracks_phases()) {
    const bool step = boundary.in_step();
    const bool wrong = (rule_.tag == Tag::kStep && !step) || (rule_.tag == Tag::kControl && step) ||
                       (rule_.tag == Tag::kLoad && (step || !boundary.loading()));
    if (wrong)
      return misuse(true, "TENON-P080", "a call in the wrong phase",
                    step                 ? "inside a step"
                    : boundary.loading() ? "while the engine loads"
                                         : "between steps",
                    name_of(rule_.tag));
  }
  // A service may be called again from inside itself: an op may end in another plugin's call.
  if (rule_.service) return;
  if ((table_.busy.fetch_or(lane_) & lane_) != 0)
    return misuse(true, "TENON-P081", "two calls at once", "a call inside or beside another",
                  "one at a time");
  in_lane_ = true;
}

void Crossing::check_breadcrumb() {
  if (rule_.tag == Tag::kAny || !table_.party->boundary->tracks_phases()) return;
  if (up_ == nullptr || up_->table_.party != table_.party)
    misuse(true, "TENON-P093", "a service called from outside of the plugin's own calls",
           up_ == nullptr ? "a thread that is in no call" : "a call of " + up_->table_.party->id,
           "a call from inside one that the core has made to the plugin");
}

bool Crossing::returned(tenon_status status) {
  returned_ = true;
  status_ = status;
  for (const Room& room : std::span(rooms_, n_rooms_))
    for (std::size_t i = 0; i < kGuard && !misused_; ++i)
      if (room.guard[i] != kPoison)
        misuse(false, "TENON-P089", "wrote beyond the room of an answer", room.name,
               "no more than the room given");
  if (misused_) return false;
  if (status == TENON_OK) return true;
  if (status < 0 || status > 16)
    misuse(false, "TENON-P086", "a status that does not exist", std::to_string(status), "0 to 16");
  else if (message_.empty())
    misuse(false, "TENON-P087", "failed without a message", "status " + std::to_string(status),
           "a message through tenon_call.set_error");
  return false;
}

// Keeps what belongs to the caller's own record: it is passed on at the end.
void Crossing::set_error(tenon_call* call, tenon_status, const char* text, uint64_t length) {
  static_cast<Crossing*>(call->ctx)->message_ = bounded_message(text, length);
}

tenon_status Crossing::result() {
  Boundary& boundary = *table_.party->boundary;
  if (!misused_ && status_ == TENON_OK && (rule_.service || !boundary.has_misuse())) {
    table_.done.fetch_or(rule_.bit);
    return TENON_OK;
  }
  if (!rule_.service && outer_ != nullptr) {
    // The misuse of a service inside this call is the cause of whatever came after it.
    if (std::optional<Error> found = boundary.take_misuse()) {
      message_ = found->to_string();
      status_ = static_cast<tenon_status>(found->code);
    }
  }
  if (status_ == TENON_OK || misused_) status_ = TENON_INTERNAL;
  if (outer_ != nullptr && outer_->set_error != nullptr)
    outer_->set_error(outer_, status_, message_.data(), message_.size());
  return status_;
}

bool Crossing::size_fits(const Path& at, std::uint64_t found, std::uint64_t least) {
  constexpr std::uint64_t kMost = 1 << 16;  // no struct of an interface is so large
  if (found >= least && found <= kMost) return true;
  misuse(!looks_at_answer(), "TENON-P083", "a struct of the wrong size",
         at.text() + ".hdr.size = " + std::to_string(found), "at least " + std::to_string(least));
  return false;
}

void Crossing::too_long(const Path& at, std::uint64_t bytes) {
  misuse(!looks_at_answer(), "TENON-P085", "an impossible count",
         at.text() + " of " + std::to_string(bytes) + " bytes", "a count that fits memory");
}

void Crossing::non_null(const Path& at, const void* pointer) {
  if (pointer == nullptr && !misused_)
    misuse(!looks_at_answer(), "TENON-P084", "a null pointer", at.text() + " = null",
           "a pointer: the interface does not allow null here");
}

void Crossing::text(const Path& at, tenon_str& value) {
  if (misused_ || value.len == 0) return;
  share(at, value.ptr, value.len);
}

void Crossing::one_of(const Path& at, std::int64_t value, std::span<const std::int64_t> known) {
  if (misused_ || std::find(known.begin(), known.end(), value) != known.end()) return;
  std::string expected = "one of";
  for (const std::int64_t each : known) expected += " " + std::to_string(each);
  misuse(!looks_at_answer(), "TENON-P086", "a value that does not exist",
         at.text() + " = " + std::to_string(value), std::move(expected));
}

void Crossing::in_range(const Path& at, std::uint64_t value, std::uint64_t least,
                        std::uint64_t most) {
  if (misused_ || (value >= least && value <= most)) return;
  misuse(!looks_at_answer(), "TENON-P086", "a value out of range",
         at.text() + " = " + std::to_string(value),
         std::to_string(least) + " to " + std::to_string(most));
}

void Crossing::at_most(const Path& at, std::uint64_t count, std::uint64_t most) {
  if (misused_ || count <= most) return;
  misuse(!looks_at_answer(), "TENON-P085", "more entries than there is room for",
         at.text() + " = " + std::to_string(count), "at most " + std::to_string(most));
}

void Crossing::is_set(const Path& at, const void* element, std::size_t bytes) {
  const auto* byte = static_cast<const unsigned char*>(element);
  const std::size_t looked_at = std::min<std::size_t>(bytes, sizeof(std::uint32_t));
  if (std::any_of(byte, byte + looked_at, [](unsigned char b) { return b != kPoison; })) return;
  misuse(false, "TENON-P088", "succeeded and left an answer unset", at.text(),
         "every answer set when the call succeeds");
}

void Crossing::same_pointer(const Path& at, const void* found, const void* expected) {
  if (misused_ || found == expected) return;
  misuse(false, "TENON-P089", "replaced a pointer that is the caller's", at.text(),
         "the caller's room, filled in place");
}

void* Crossing::open_room(const Path& at, const void* given, std::size_t bytes,
                          const void* initial) {
  if (given == nullptr && bytes > 0) non_null(at, given);
  if (misused_) return nullptr;
  if (bytes > kMostBytes || n_rooms_ == kMostRooms) {
    too_long(at, bytes);
    return nullptr;
  }
  auto* out = static_cast<unsigned char*>(take(bytes + kGuard, Lent::kCall));
  std::memset(out, kPoison, bytes + kGuard);
  if (initial != nullptr) std::memcpy(out, initial, bytes);
  rooms_[n_rooms_++] = {at.name, out + bytes};
  return out;
}

void* Crossing::take(std::size_t bytes, Lent lent) {
  Boundary& boundary = *table_.party->boundary;
  if (lent == Lent::kStep && boundary.in_step()) return boundary.take_for_step(bytes);
  if (loan_ == nullptr) loan_ = table_.loans.take();
  return loan_->take(bytes);
}

void Crossing::remember(const Path& at, const void* original, std::size_t bytes) {
  Boundary& boundary = *table_.party->boundary;
  if (!boundary.in_step()) return;
  void* copy = boundary.take_for_step(bytes);
  std::memcpy(copy, original, bytes);
  boundary.remember({table_.party, rule_.name, at.text(), original, copy, bytes});
}

TensorState Crossing::state_of(const tenon_tensor* tensor) const {
  const TensorLookup* lookup = table_.party->tensors;
  return lookup != nullptr && *lookup ? (*lookup)(tensor) : TensorState::kLive;
}

void Crossing::tensor(const char* name, const tenon_tensor* tensor) {
  non_null(Path{nullptr, name}, tensor);
  if (misused_) return;
  const TensorState state = state_of(tensor);
  if (state == TensorState::kLive) return;
  misuse(!looks_at_answer(), "TENON-P091", "not a live tensor",
         std::string(name) +
             (state == TensorState::kReleased ? ": a released handle" : ": no handle of the core"),
         "a handle that the core has given and that is not released");
}

void Crossing::tensors(const char* name, tenon_tensor* const* given, std::uint64_t count) {
  if (count > 0) non_null(Path{nullptr, name}, given);
  for (std::uint64_t i = 0; i < count && !misused_; ++i) tensor(name, given[i]);
}

void Crossing::gives_up(const char* name, const tenon_tensor* given) {
  tensor(name, given);
  if (misused_ || table_.party->tensors == nullptr) return;
  {
    const std::lock_guard lock(table_.party->mutex);
    std::vector<const tenon_tensor*>& owned = table_.party->owned;
    if (const auto at = std::find(owned.begin(), owned.end(), given); at != owned.end()) {
      *at = owned.back();
      owned.pop_back();
      return;
    }
  }
  misuse(rule_.service, "TENON-P092", "gives up a tensor that is not the plugin's",
         std::string(name) + ": released before, given on, or only lent",
         "a handle that a service has given to the plugin, once");
}

void Crossing::give_tensors(const char* name, tenon_tensor* const* mine, tenon_tensor** given,
                            std::uint64_t count) {
  Party& party = *table_.party;
  for (std::uint64_t i = 0; i < count && !misused_; ++i) {
    const Path at{nullptr, name, count == 1 ? -1 : static_cast<std::int64_t>(i)};
    is_set(at, mine + i, sizeof(tenon_tensor*));
    if (misused_) return;
    if (rule_.service) {
      tensor(name, mine[i]);
      const std::lock_guard lock(party.mutex);
      if (party.tensors != nullptr) party.owned.push_back(mine[i]);
    } else {
      gives_up(name, mine[i]);
    }
  }
  if (!misused_ && count > 0) std::copy_n(mine, count, given);
}

void visit(Crossing& x, const Path& at, tenon_view& view) {
  x.non_null({&at, "data"}, view.data);
  x.in_range({&at, "ndim"}, static_cast<std::uint64_t>(view.ndim), 0, 8);
  const auto n = static_cast<std::uint64_t>(view.ndim);
  x.share({&at, "shape"}, view.shape, n);
  x.share({&at, "strides"}, view.strides, n);
}

}  // namespace tenon::iface
