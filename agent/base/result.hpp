// SPDX-License-Identifier: Apache-2.0
//
// Result<T> and Status: how the agent's parts answer one another. A value, or an Error that nobody
// may ignore: a code to decide by and a sentence to print.
//
// The sentence names the thing, the numbers, and what to do next, as one line without a full stop:
//   segment 4f1a0c…: size 12288 < 65536; the file was cut short, remove it
// A caller that adds knowledge puts it in front: error.within("agent start").
//
// Threads: values like any other; no shared state. Failure: value() of an error ends the program in
// every build, because it is our own mistake. No part throws to another: library exceptions end
// where they are caught, as an Error.
#ifndef TAILRACE_AGENT_BASE_RESULT_HPP_
#define TAILRACE_AGENT_BASE_RESULT_HPP_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace tailrace::agent {

enum class ErrorCode {
  kInvalidArgument,    // what the caller or the user said makes no sense
  kNotFound,           // the thing named is not there
  kAlreadyExists,      // somebody else has it: a second agent, a port in use
  kPermissionDenied,   // the kernel or a trust rule says no
  kCorrupt,            // bytes from outside that do not hold together
  kUnsupported,        // a version or feature that this build does not know
  kResourceExhausted,  // memory, disk, table or descriptor limit
  kUnavailable,        // may work later: destination down, try again
  kDeadlineExceeded,   // time ran out
  kCancelled,          // stopped because we are stopping
  kSystem,             // an unexpected answer of the operating system
  kInternal,           // our own mistake
};

constexpr std::string_view error_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kAlreadyExists: return "already_exists";
    case ErrorCode::kPermissionDenied: return "permission_denied";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kResourceExhausted: return "resource_exhausted";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kDeadlineExceeded: return "deadline_exceeded";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kSystem: return "system";
    case ErrorCode::kInternal: return "internal";
  }
  return "unknown";
}

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string sentence;

  // The same error as seen one level up: "agent start: cannot lock /run/tailrace …".
  [[nodiscard]] Error within(std::string_view what) && {
    sentence.insert(0, ": ").insert(0, what);
    return std::move(*this);
  }
  [[nodiscard]] Error within(std::string_view what) const& { return Error(*this).within(what); }
};

namespace internal {
[[noreturn]] inline void die_of_unchecked_error(const Error& error) noexcept {
  std::fprintf(stderr, "tailrace: unchecked error: %s\n", error.sentence.c_str());
  std::abort();
}
}  // namespace internal

template <typename T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<std::remove_cv_t<T>, Error>, "a Result holds a value or an Error");
  static_assert(!std::is_reference_v<T> && !std::is_void_v<T>, "use a pointer, or Status");

 public:
  // Implicit from both, so that `return value;` and `return Error{code, sentence};` read well.
  // NOLINTBEGIN(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() & { return checked(), *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return checked(), *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return checked(), std::move(*std::get_if<0>(&state_)); }

  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  template <typename U>
  [[nodiscard]] T value_or(U&& other) const& {
    return ok() ? *std::get_if<0>(&state_) : static_cast<T>(std::forward<U>(other));
  }

  // Only when !ok().
  [[nodiscard]] const Error& error() const& noexcept { return *checked_error(); }
  [[nodiscard]] Error&& error() && noexcept {
    static_cast<void>(checked_error());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  void checked() const {
    if (!ok()) {
      internal::die_of_unchecked_error(*std::get_if<1>(&state_));
    }
  }
  const Error* checked_error() const noexcept {
    const Error* error = std::get_if<1>(&state_);
    if (error == nullptr) {
      internal::die_of_unchecked_error({ErrorCode::kInternal, "error() of a Result that holds a value"});
    }
    return error;
  }

  std::variant<T, Error> state_;
};

// A Result without a value. A default one is success: `return Status();` or `return {};`.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as in Result
  Status(Error error) : error_(std::move(error)), ok_(false) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }

  [[nodiscard]] const Error& error() const& noexcept {
    check();
    return error_;
  }
  [[nodiscard]] Error&& error() && noexcept {
    check();
    return std::move(error_);
  }

 private:
  void check() const noexcept {
    if (ok_) {
      internal::die_of_unchecked_error({ErrorCode::kInternal, "error() of a Status that is ok"});
    }
  }

  Error error_;
  bool ok_ = true;
};

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_BASE_RESULT_HPP_
