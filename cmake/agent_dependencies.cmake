# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# What the agent needs from the distribution. The shim includes nothing of this file.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(Boost REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
