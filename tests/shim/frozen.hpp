// SPDX-License-Identifier: Apache-2.0
// Layouts of structures as text, and the golden text they are compared with.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace tailrace::shim::test {

class Layout {
 public:
  void add(const char* name, std::size_t size) { out_ << name << ' ' << size << '\n'; }
  void add(const char* type, const char* field, std::size_t offset, std::size_t size) {
    out_ << type << '.' << field << ' ' << offset << ' ' << size << '\n';
  }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

#define SIZE(type) layout.add(#type, sizeof(type))
#define FIELD(type, field) layout.add(#type, #field, offsetof(type, field), sizeof(type::field))

inline std::string compared(const std::string& name, const std::string& text) {
  const std::string path = std::string(TAILRACE_SOURCE "/tests/shim/golden/") + name;
  if (std::getenv("TAILRACE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path << " cannot be read";
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

}  // namespace tailrace::shim::test
