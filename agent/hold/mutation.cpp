// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/mutation.hpp"

namespace tailrace::agent {

Mutation hold_mutation = Mutation::none;

}  // namespace tailrace::agent
