// "Did you mean": the nearest of a list of known names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tenon {

// The known name at the smallest edit distance, or "" when none is within a third of the word's
// length (at least 2).
std::string nearest_name(std::string_view word, std::span<const std::string> known);

// `did you mean "x"?` or `known: a, b, c`: the text for an error's `fix`.
std::string suggest_fix(std::string_view word, std::span<const std::string> known);

}  // namespace tenon
