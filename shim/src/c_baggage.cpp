// SPDX-License-Identifier: Apache-2.0
// The C interface: baggage, by the calls that the C++ class makes.
#include <tailrace/detail/baggage.hpp>

#include "c_input.hpp"

using namespace tailrace;
using namespace tailrace::shim;

extern "C" bool tailrace_baggage_parse(tailrace_baggage_t* baggage, const char* header, size_t length) {
  if (baggage == nullptr || !good_baggage(*baggage) || !good_text(header, length)) return refuse();
  return tailrace_baggage_add(baggage->text, &baggage->used, &baggage->members, header, length);
}

extern "C" bool tailrace_baggage_put(tailrace_baggage_t* baggage, tailrace_text_t key, tailrace_text_t value,
                                     tailrace_text_t properties) {
  if (baggage == nullptr || !good_baggage(*baggage) || !good_text(key) || !good_text(value) || !good_text(properties)) {
    return refuse();
  }
  const detail::BaggageText parts[3] = {
      {key.data, key.size}, {value.data, value.size}, {properties.data, properties.size}};
  return tailrace_baggage_set(baggage->text, &baggage->used, &baggage->members, parts);
}

extern "C" bool tailrace_baggage_erase(tailrace_baggage_t* baggage, tailrace_text_t key) {
  if (baggage == nullptr || !good_baggage(*baggage) || !good_text(key)) return refuse();
  return tailrace_baggage_remove(baggage->text, &baggage->used, &baggage->members, key.data, key.size);
}

extern "C" bool tailrace_baggage_get(const tailrace_baggage_t* baggage, tailrace_text_t key, char* room, size_t size,
                                     size_t* length) {
  if (baggage == nullptr || !good_baggage(*baggage) || !good_text(key) || (room == nullptr && size != 0) ||
      length == nullptr) {
    return refuse();
  }
  *length = 0;
  detail::BaggageText found[3];
  if (!tailrace_baggage_find(baggage->text, baggage->used, key.data, key.size, found)) return false;
  *length = tailrace_baggage_decode(found[1].text, found[1].size, room, size);
  return true;
}

extern "C" std::uint64_t tailrace_baggage_enter(const tailrace_baggage_t* baggage) {
  if (baggage == nullptr || !good_baggage(*baggage)) {
    refuse();
    return 0;
  }
  return tailrace_baggage_activate(reinterpret_cast<const Baggage*>(baggage));
}

extern "C" void tailrace_baggage_leave(std::uint64_t activation) {
  if (activation != 0) tailrace_baggage_deactivate(activation);
}

extern "C" bool tailrace_baggage_get_current(tailrace_baggage_t* out) {
  if (out == nullptr) return refuse();
  out->used = out->members = 0;
  return tailrace_baggage_current(reinterpret_cast<Baggage*>(out));
}
