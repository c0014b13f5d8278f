// UTF-8 by hand: strict (no surrogates, no overlong forms, nothing above U+10FFFF), for text that
// comes from files and strangers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

// Length of the valid sequence at `text[at]`, or 0 when what stands there is not one.
std::size_t utf8_length(std::string_view text, std::size_t at);

bool is_utf8(std::string_view text);

// Bytes at the end of `text` that begin a sequence which more bytes could complete; 0 to 3.
std::size_t utf8_unfinished_tail(std::string_view text);

// The code point of the valid sequence of `length` bytes at `text[at]`.
std::uint32_t utf8_decode(std::string_view text, std::size_t at, std::size_t length);
void utf8_append(std::string& out, std::uint32_t code_point);

// U+2581, which SentencePiece vocabularies write for a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

// `text` with each U+2581 replaced by a space.
std::string utf8_unmark_spaces(std::string_view text);

// `text` with each byte that is not part of a valid sequence replaced by U+FFFD.
std::string utf8_replace_invalid(std::string_view text);

// `text` between quotes, cut to 80 bytes and without control characters: for error messages.
std::string quote_for_message(std::string_view text);

}  // namespace tenon
