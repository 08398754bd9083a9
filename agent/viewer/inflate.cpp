// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/inflate.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <zlib.h>

namespace tailrace::agent::viewer {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, gzip's header and no other
constexpr std::size_t kFirstBytes = std::size_t{64} << 10;

// The bytes go in piece by piece because zlib counts them in 32 bits.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

class Inflater {
 public:
  Inflater() : ready_(::inflateInit2(&stream_, kGzipWindow) == Z_OK) {}
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  [[nodiscard]] bool ready() const noexcept { return ready_; }
  ::z_stream& stream() noexcept { return stream_; }

 private:
  ::z_stream stream_{};
  bool ready_;
};

}  // namespace

Result<std::string> inflate_gzip(std::string_view bytes, std::size_t max_bytes) {
  Inflater inflater;
  if (!inflater.ready()) {
    return Error{ErrorCode::kResourceExhausted, "no memory to inflate a request; send it again later"};
  }
  ::z_stream& stream = inflater.stream();
  std::string out;
  std::size_t used_in = 0;
  std::size_t used_out = 0;
  for (;;) {
    if (used_out == out.size()) {
      if (out.size() > max_bytes) {
        return Error{ErrorCode::kResourceExhausted,
                     fmt::format("request inflates to more than {} bytes; send smaller batches", max_bytes)};
      }
      // One byte beyond the bound tells a request that just fits from one that does not.
      out.resize(std::min(std::max(kFirstBytes, out.size() * 2), max_bytes + 1));
    }
    const std::size_t in = std::min(bytes.size() - used_in, kPieceBytes);
    const std::size_t room = std::min(out.size() - used_out, kPieceBytes);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + used_in));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used_out);
    stream.avail_out = static_cast<uInt>(room);
    const int answer = ::inflate(&stream, Z_NO_FLUSH);
    used_in += in - stream.avail_in;
    used_out += room - stream.avail_out;
    if (answer == Z_STREAM_END) {
      break;
    }
    const bool stuck = stream.avail_in == in && stream.avail_out == room;
    if ((answer != Z_OK && answer != Z_BUF_ERROR) || stuck) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("request of {} bytes is not whole gzip; nothing of it was kept", bytes.size())};
    }
  }
  if (used_out > max_bytes) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("request inflates to more than {} bytes; send smaller batches", max_bytes)};
  }
  out.resize(used_out);
  return out;
}

}  // namespace tailrace::agent::viewer
