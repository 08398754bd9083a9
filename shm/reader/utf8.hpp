// SPDX-License-Identifier: Apache-2.0
// UTF-8 for what applications call text: OTLP strings must be valid, applications need not be.
// Threads: any. Failure: none.
#pragma once

#include <string>
#include <string_view>

namespace tailrace::shm {

// Shortest forms only, no surrogates, nothing beyond U+10FFFF.
bool valid_utf8(std::string_view text);

// `text` itself when it is valid; otherwise a copy in `scratch` with U+FFFD for each longest piece that
// could not be continued (Unicode's "substitution of maximal subparts"). Valid until either changes.
std::string_view repair_utf8(std::string_view text, std::string& scratch);

}  // namespace tailrace::shm
