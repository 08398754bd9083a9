// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/process_limits.hpp"

#include <algorithm>

namespace tailrace::agent {
namespace {

void obey(BatchLimits& limits, const AgentOptions& options, const BatchHints& hints) {
  if (hints.records && !options.batch_records_given) limits.records = *hints.records;
  if (!hints.delay || options.linger_given) return;
  auto& normal = limits.linger[static_cast<std::size_t>(QueueClass::normal)];
  auto& background = limits.linger[static_cast<std::size_t>(QueueClass::background)];
  normal = *hints.delay;
  if (!options.background_linger_given) background = std::max(background, normal);
}

}  // namespace

ProcessLimits limits_of(const AgentOptions& options, const ProcessHints& hints) {
  ProcessLimits limits;
  limits.fill(options.batch);
  obey(limits[index_of(Signal::traces)], options, hints.traces);
  obey(limits[index_of(Signal::logs)], options, hints.logs);
  return limits;
}

}  // namespace tailrace::agent
