// Text functions of chat templates. Internal to core/format. Case is ASCII's: role and type names
// are what templates change the case of.
#pragma once

#include <string>
#include <string_view>

#include "core/format/jinja_interpreter.h"

namespace tenon::jinja {

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);

// Takes the characters of `set` off the ends.
std::string_view strip_characters(std::string_view text, std::string_view set, bool left,
                                  bool right);

// A string in lower case, for comparing; anything else as it is.
Value lowered(Interpreter& in, const Value& value);

}  // namespace tenon::jinja
