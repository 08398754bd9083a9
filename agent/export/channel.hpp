// SPDX-License-Identifier: Apache-2.0
//
// The gRPC channel to one endpoint, with the options that the sender relies on.
//
// Threads: make_channel() from any. Ownership: the channel is shared with gRPC. Failure: none
// here; a channel that cannot connect answers UNAVAILABLE.
// Source: gRPC 1.51, grpc_types.h.
#pragma once

#include <grpcpp/channel.h>
#include <memory>

#include "agent/export/grpc_sender.hpp"

namespace tailrace::agent {

std::shared_ptr<grpc::Channel> make_channel(const Endpoint& endpoint, const SenderOptions& options);

// "Tailrace/1.2.3 OTel-OTLP-Exporter-cpp/1.2.3": the distribution's product before the exporter's.
std::string user_agent();

}  // namespace tailrace::agent
