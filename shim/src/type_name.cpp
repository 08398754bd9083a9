// SPDX-License-Identifier: Apache-2.0
// What an exception's type is called.
#include <cstring>

#include "runtime.hpp"

// The name of a C++ type out of what the compiler gives: the plain nested names of the Itanium ABI,
// and "[with E = …]" where there is no RTTI. Anything else is passed on as it is.
extern "C" std::size_t tailrace_type_name(const char* mangled, char* out, std::size_t room) noexcept {
  const char* from = mangled;
  std::size_t n = 0;
  const auto put = [&](const char* text, std::size_t length) {
    for (std::size_t i = 0; i < length && n < room; ++i) out[n++] = text[i];
  };
  if (const char* with = std::strstr(mangled, "E = "); with != nullptr) {
    with += 4;
    std::size_t length = 0;
    while (with[length] != 0 && with[length] != ';' && with[length] != ']') ++length;
    put(with, length);
    return n;
  }
  const bool nested = *from == 'N';
  if (nested) ++from;
  bool good = true;
  if (from[0] == 'S' && from[1] == 't') {
    put("std", 3);
    from += 2;
  }
  while (good && *from != 0 && !(nested && *from == 'E')) {
    std::size_t length = 0;
    while (*from >= '0' && *from <= '9') length = length * 10 + static_cast<std::size_t>(*from++ - '0');
    good = length > 0 && length <= std::strlen(from);
    if (!good) break;
    if (n != 0) put("::", 2);
    if (length >= 11 && std::memcmp(from, "_GLOBAL__N_", 11) == 0)
      put("(anonymous namespace)", 21);
    else
      put(from, length);
    from += length;
  }
  if (!good) {
    n = 0;
    put(mangled, std::strlen(mangled));
  }
  return n;
}
