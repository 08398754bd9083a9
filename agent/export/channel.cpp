// SPDX-License-Identifier: Apache-2.0
#include "agent/export/channel.hpp"

#include <cstdlib>
#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <limits>

#ifndef TAILRACE_VERSION
#error "TAILRACE_VERSION comes from the project's version"
#endif

namespace tailrace::agent {

namespace {

// One reference to the library for the life of the process. Dropping the last one joins gRPC's
// threads, and one of them sits in a poll of ten seconds after any write that had to wait: shutdown
// would, too.
bool keep_library() {
  // The system's resolver knows what the host's administrator configured, and the built-in one
  // (c-ares 1.18) leaks a name each time it looks up "localhost", which is once a second while a
  // destination there is down. The choice is read by the first grpc_init(); a user's own word
  // stands.
  setenv("GRPC_DNS_RESOLVER", "native", 0);
  grpc_init();
  return true;
}

}  // namespace

std::string user_agent() { return "Tailrace/" TAILRACE_VERSION " OTel-OTLP-Exporter-cpp/" TAILRACE_VERSION; }

std::shared_ptr<grpc::Channel> make_channel(const Endpoint& endpoint, const SenderOptions& options) {
  static const bool kept = keep_library();
  static_cast<void>(kept);

  grpc::ChannelArguments args;
  args.SetUserAgentPrefix(user_agent());
  args.SetMaxReceiveMessageSize(static_cast<int>(kResponseBytesMax));
  args.SetMaxSendMessageSize(-1);  // the sender has its own limit

  // A destination that comes back is found within about a second; gRPC spreads each wait by a
  // fifth.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(options.connect_timeout.count()));
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);

  // Pings stay off (the time is 24 days), yet gRPC sets TCP_USER_TIMEOUT only on connections with a
  // finite ping time: without it a peer that vanished, or stopped reading, would hold on to our
  // pages for a quarter of an hour.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, std::numeric_limits<int>::max() - 1);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(options.stuck_after.count()));

  // A connection of our own, so that giving it up concerns nobody else in the process.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (endpoint.is_loopback()) {
    args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }

  // Retries are the hold's task; gRPC's own would keep the request referenced beyond its answer.
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // No name server is asked for a service configuration that we would not follow.
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);

  return grpc::CreateCustomChannel(endpoint.target(), grpc::InsecureChannelCredentials(), args);
}

}  // namespace tailrace::agent
