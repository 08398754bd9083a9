// SPDX-License-Identifier: Apache-2.0
// What is current beside the context of a recorded span: a thread's baggage, and, where nothing is recorded, the
// context that came in and is to be passed on.
//
// Each lies in a place of a bounded table, copied, so that nothing dangles when its block is left by a longjmp or a
// thread ends with it; two words of the thread name the innermost of each kind.
// Threads: a place belongs to the thread that activated it. Failure: past the last place nothing is activated, and
// it is counted as cut.
#pragma once

#include <tailrace/detail/baggage.hpp>

namespace tailrace::shim {

std::uint64_t activate_context(const Context& context) noexcept;  // for Activate; 0: nothing
bool active_context(Context& out) noexcept;
bool deactivate_context(std::uint64_t activation) noexcept;  // false: it is none of these
const Baggage* active_baggage() noexcept;                    // of this thread; null: none
bool has_baggage(std::string_view header) noexcept;          // one member of it is good
void activations_after_fork() noexcept;                      // in the child: keeps what its one thread has

}  // namespace tailrace::shim
