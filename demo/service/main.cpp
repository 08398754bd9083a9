// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP file server that compresses what it serves, instrumented with Tailrace's public API and
// nothing else: a server span for each request, children for looking up, reading, compressing and
// sending, a log line for each answer, and metrics of requests, their durations, bytes and open
// connections. What an instrumented service looks like; see serve().
//
//   tailrace-demo-service [--root DIR] [--port N] [--threads N]
//
// Prints "listening PORT". On SIGTERM it finishes the requests under way and prints one line of JSON.
#include <tailrace/tailrace.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "http.hpp"
#include "meter.hpp"

namespace demo {
namespace {

using namespace tailrace::literals;

std::atomic<bool> stopping{false};

// Names and bounds are the semantic conventions', where those have them.
struct Instruments {
  tailrace::Counter<std::uint64_t> requests =
      tailrace::counter<std::uint64_t>("http.server.requests", {"{request}", "Requests answered"});
  tailrace::Histogram<double> durations = tailrace::histogram<double>(
      "http.server.request.duration", {"s",
                                       "Duration of HTTP server requests",
                                       {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}});
  tailrace::Counter<std::uint64_t>::Bound bytes =
      tailrace::counter<std::uint64_t>("http.server.response.body.bytes", {"By", "Bytes of bodies sent"}).bind();
  tailrace::UpDownCounter<std::int64_t>::Bound connections =
      tailrace::up_down_counter<std::int64_t>("http.server.open_connections", {"{connection}", "Connections open now"})
          .bind();
};
const Instruments instruments;

struct Totals {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  Meter meter;
};

struct Answer {
  int status = 200;
  std::string body;
  std::string type = "application/octet-stream";
  bool gzip = false;
};

std::string type_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  const std::string ending = dot == std::string::npos ? "" : path.substr(dot);
  if (ending == ".html") return "text/html; charset=utf-8";
  if (ending == ".gz") return "application/gzip";
  if (ending == ".png") return "image/png";
  return "text/plain; charset=utf-8";
}

class Server {
 public:
  Server(std::string root, int listener) : root_(std::move(root)), listener_(listener) {}

  void work(Totals& totals) {
    tailrace::attach_thread("http-worker");
    while (!stopping.load(std::memory_order_relaxed)) {
      pollfd wanted{listener_, POLLIN, 0};
      if (::poll(&wanted, 1, 100) <= 0) continue;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) continue;
      // A silent client must not keep this thread from stopping.
      timeval patience{0, 200'000};
      ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      Connection connection(socket);
      instruments.connections.add(1);
      talk(connection, totals);
      instruments.connections.add(-1);
    }
  }

 private:
  void talk(Connection& connection, Totals& totals) {
    HttpRequest request;
    while (!stopping.load(std::memory_order_relaxed)) {
      const ReadOutcome read = connection.read_request(request);
      if (read == ReadOutcome::closed) return;
      if (read == ReadOutcome::bad) {
        tailrace::warn("a client sent something that is not HTTP");
        connection.write_response(400, "text/plain", "bad request\n", false, false);
        return;
      }
      if (!serve(connection, request, totals)) return;
    }
  }

  // One request: what instrumenting a service means.
  bool serve(Connection& connection, const HttpRequest& request, Totals& totals) {
    const auto started = std::chrono::steady_clock::now();
    tailrace::SpanOptions options;
    options.kind = tailrace::SpanKind::server;
    auto span = tailrace::span("GET"_n, options);
    span.set("http.request.method"_n, request.method);
    span.set("url.path"_n, request.path);
    span.set("url.scheme"_n, "http"_n);

    Answer answer;
    const std::string path = look_up(request, answer, totals);
    if (answer.status == 200) read_file(path, answer);
    if (answer.status == 200 && request.accepts_gzip && answer.body.size() > 256) compress_body(answer);

    span.set("http.response.status_code"_n, answer.status);
    span.set("http.response.body.size"_n, answer.body.size());
    if (answer.status >= 500) span.status(tailrace::StatusCode::error, "cannot read the file");

    ++totals.requests;
    totals.bytes += answer.body.size();
    bool sent = false;
    {
      auto child = tailrace::span("send"_n);
      sent = connection.write_response(answer.status, answer.type, answer.body, answer.gzip, request.keep_alive);
      child.set("network.io.bytes"_n, answer.body.size());
      if (!sent) child.status(tailrace::StatusCode::error, "the client went away");
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    instruments.requests.add(1,
                             {{"http.request.method", request.method}, {"http.response.status_code", answer.status}});
    instruments.durations.record(took.count(), {{"http.response.status_code", answer.status}});
    instruments.bytes.add(answer.body.size());
    if (answer.status == 200) {
      tailrace::info("{} {} {}", request.method, request.path, answer.body.size());
    } else {
      tailrace::warn("{} {}: no such file, answered {}", request.method, request.path, answer.status);
    }
    return sent && request.keep_alive;
  }

  // One in so many of these spans is timed, call by call.
  std::string look_up(const HttpRequest& request, Answer& answer, Totals& totals) {
    const std::string path = root_ + request.path;
    struct stat found {};
    const bool safe = request.path.find("..") == std::string::npos && request.method == "GET";
    const auto look = [&] { return safe && ::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode); };
    if (!totals.meter.take_turn()) {
      auto span = tailrace::span("look up"_n);
      const bool exists = look();
      span.set("file.size"_n, found.st_size);
      span.set("file.exists"_n, exists);
      span.set("file.mode"_n, static_cast<int>(found.st_mode));
      if (!exists) answer.status = 404;
      return path;
    }
    Meter& meter = totals.meter;
    meter.begin();
    {
      const std::uint64_t before = counter();
      auto span = tailrace::span("look up"_n);
      meter.add(counter() - before);
      const bool exists = look();
      meter.time([&] { span.set("file.size"_n, found.st_size); });
      meter.time([&] { span.set("file.exists"_n, exists); });
      meter.time([&] { span.set("file.mode"_n, static_cast<int>(found.st_mode)); });
      if (!exists) answer.status = 404;
      meter.time([&] { span.end(); });
    }
    meter.finish();
    return path;
  }

  void read_file(const std::string& path, Answer& answer) {
    auto span = tailrace::span("read"_n);
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      answer.status = 500;
      span.status(tailrace::StatusCode::error, "cannot open the file");
      return;
    }
    answer.body.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    answer.type = type_of(path);
    span.set("file.path"_n, path);
    span.set("file.size"_n, answer.body.size());
  }

  void compress_body(Answer& answer) {
    auto span = tailrace::span("compress"_n);
    span.set("compression.algorithm"_n, "gzip"_n);
    span.set("compression.input.size"_n, answer.body.size());
    z_stream stream{};
    if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return;
    std::string packed(deflateBound(&stream, static_cast<uLong>(answer.body.size())), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(answer.body.data());
    stream.avail_in = static_cast<uInt>(answer.body.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    const int done = deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    span.set("compression.output.size"_n, packed.size());
    if (done != Z_STREAM_END || packed.size() >= answer.body.size()) {
      span.event("not worth it"_n);
      return;
    }
    answer.body = std::move(packed);
    answer.gzip = true;
  }

  const std::string root_;
  const int listener_;
};

int run(const std::string& root, int port, unsigned threads) {
  tailrace::Config config;
  config.service = "demo-files";
  config.service_version = TAILRACE_VERSION;
  const tailrace::Outcome started = tailrace::init(config);
  static_cast<void>(started);  // said on standard error; the service runs either way

  const int listener = listen_on_loopback(port);
  if (listener < 0) {
    std::fprintf(stderr, "tailrace-demo-service: cannot listen on 127.0.0.1:%d: %s\n", port, std::strerror(errno));
    return 1;
  }
  std::printf("listening %d\n", port);
  std::fflush(stdout);

  const TickLength tick;
  Server server(root, listener);
  std::vector<Totals> totals(threads);
  std::vector<std::thread> workers;
  for (Totals& mine : totals) workers.emplace_back([&server, &mine] { server.work(mine); });
  for (std::thread& worker : workers) worker.join();
  ::close(listener);

  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> samples;
  for (const Totals& mine : totals) {
    requests += mine.requests;
    bytes += mine.bytes;
    samples.insert(samples.end(), mine.meter.samples().begin(), mine.meter.samples().end());
  }
  const std::size_t count = samples.size();
  std::printf("{\"requests\":%llu,\"bytes\":%llu,\"ns_per_span\":%.1f,\"samples\":%zu}\n",
              static_cast<unsigned long long>(requests), static_cast<unsigned long long>(bytes),
              static_cast<double>(median(std::move(samples))) * tick.ns(), count);
  return 0;
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) {
  std::string root = "/usr/share/doc";
  int port = 0;
  unsigned threads = 4;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--root") {
      root = argv[i + 1];
    } else if (option == "--port") {
      port = std::atoi(argv[i + 1]);
    } else if (option == "--threads") {
      threads = static_cast<unsigned>(std::atoi(argv[i + 1]));
    } else {
      std::fprintf(stderr, "usage: tailrace-demo-service [--root DIR] [--port N] [--threads N]\n");
      return 2;
    }
  }
  struct sigaction action {};
  action.sa_handler = [](int) { demo::stopping.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  return demo::run(root, port, threads == 0 ? 1 : threads);
}
