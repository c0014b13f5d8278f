#include "core/base/error.h"

namespace tenon {

std::string Error::to_string() const {
  std::string out = id;
  if (!where.empty()) out += (out.empty() ? "" : " ") + where;
  if (!out.empty()) out += ": ";
  out += message;
  if (!found.empty()) out += "; found " + found;
  if (!expected.empty()) out += "; expected " + expected;
  if (!fix.empty()) out += "; fix: " + fix;
  return out;
}

}  // namespace tenon
