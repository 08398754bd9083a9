// SPDX-License-Identifier: Apache-2.0
// A program with a gRPC and a Protobuf of its own, which it uses, that knows nothing of Tailrace and loads a plug-in
// that does. Unloads it again in the end.
//
//   tailrace-example-plugin-host PLUGIN.so
#include <dlfcn.h>
#include <google/protobuf/duration.pb.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <string>

namespace {

template <class Function>
Function* find(void* plugin, const char* name) {
  auto* found = reinterpret_cast<Function*>(::dlsym(plugin, name));
  if (found == nullptr) std::fprintf(stderr, "the plug-in has no %s\n", name);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s PLUGIN.so\n", argv[0]);
    return 2;
  }
  google::protobuf::Duration work_time;
  work_time.set_seconds(3);
  const auto channel = grpc::CreateChannel("127.0.0.1:9", grpc::InsecureChannelCredentials());
  std::printf("gRPC %s, channel state %d, a message of %zu bytes\n", grpc::Version().c_str(),
              static_cast<int>(channel->GetState(false)), work_time.SerializeAsString().size());

  void* plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::fprintf(stderr, "cannot load the plug-in: %s\n", ::dlerror());
    return 1;
  }
  auto* start = find<int()>(plugin, "plugin_start");
  auto* work = find<void(int)>(plugin, "plugin_work");
  if (start == nullptr || work == nullptr) return 1;
  if (start() != 0) std::fprintf(stderr, "the plug-in's telemetry is off; the program goes on\n");
  const int items = static_cast<int>(work_time.seconds());
  for (int item = 0; item < items; ++item) work(item);
  ::dlclose(plugin);
  const bool gone = ::dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == nullptr;
  std::printf("%d items, the plug-in is %s\n", items, gone ? "unloaded" : "still loaded");
  return gone ? 0 : 1;
}
