// The texts of `tenon help`.
#pragma once

#include <string>
#include <string_view>

namespace tenon::app {

std::string manual();

// What follows the options in `tenon help COMMAND` and `tenon COMMAND --help`: examples and what
// else one must know. "" for a command that has no more to say.
std::string_view examples_of(std::string_view command);

}  // namespace tenon::app
