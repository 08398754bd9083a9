// SPDX-License-Identifier: Apache-2.0
// Values and attributes: views of what a caller passes, copied into the record before the call
// returns. Nothing here owns or allocates.
//
// Every type of OTLP's AnyValue: empty, bool, integers, floating point, strings, bytes, arrays of
// anything, maps. An unsigned integer above the greatest signed one is written as a decimal string,
// because OTLP has no unsigned type and a wrong number is worse than a string. A `char` is a string of one
// character; signed char and unsigned char, which std::int8_t and std::uint8_t are, are numbers.
//
// Braces and temporaries live until the end of the statement they stand in. Given in the call they are right:
//   span.event("e"_n, {{"key", text()}});
// kept in a variable they are gone before the call, and what is read is garbage:
//   tailrace::Attributes kept = {{"key", 1}};   // wrong, as is Value kept = {1, 2} or Value kept = text();
// Keep an array instead, and the strings that it points at: const Attribute kept[] = {{"key", 1}};
#pragma once

#include <initializer_list>

#include <tailrace/detail/names.hpp>

namespace tailrace {

class Value;

struct Bytes {
  const void* data;
  std::size_t size;
};

// The key of an attribute: "k"_n or any string.
class Key : public detail::Name {
 public:
  template <class T, std::enable_if_t<detail::is_literal<T>, int> = 0>
  Key(const T&) noexcept  // NOLINT: implicit by purpose
      : detail::Name{T::text().data(), static_cast<std::uint32_t>(T::text().size()), T::id()} {}
  template <class T, std::enable_if_t<detail::is_text<T>, int> = 0>
  Key(const T& key) noexcept : detail::Name{} {  // NOLINT: implicit by purpose
    const std::string_view view = detail::text_view(key);
    text = view.data();
    length = static_cast<std::uint32_t>(view.size());
  }
};

struct Attribute;

class Value {
 public:
  enum class Kind : std::uint8_t {
    empty,
    boolean,
    integer,
    real,
    string,
    bytes,
    array,
    map,
    unsigned_integer,
    string_id,
    character
  };
  // The i-th element of a sequence that is not made of Values.
  using Element = Value (*)(const void* data, std::size_t i);

  constexpr Value() noexcept = default;
  constexpr Value(std::nullptr_t) noexcept {}
  template <class T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>, int> = 0>
  constexpr Value(T value) noexcept {
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::boolean;
      word_ = value ? 1u : 0u;
    } else if constexpr (std::is_same_v<T, char>) {
      kind_ = Kind::character;
      word_ = static_cast<unsigned char>(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      kind_ = Kind::real;
      real_ = static_cast<double>(value);
    } else if constexpr (std::is_enum_v<T>) {
      kind_ = Kind::integer;
      word_ = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
    } else {
      kind_ = std::is_unsigned_v<T> && sizeof(T) == 8 ? Kind::unsigned_integer : Kind::integer;
      word_ = static_cast<std::uint64_t>(value);
    }
  }
  template <class T, std::enable_if_t<detail::is_literal<T>, int> = 0>
  Value(const T&) noexcept : kind_(Kind::string_id), id_(T::id()), size_(T::text().size()), data_(T::text().data()) {}
  template <class T, std::enable_if_t<detail::is_text<T>, int> = 0>
  constexpr Value(const T& text) noexcept : kind_(Kind::string) {
    const std::string_view view = detail::text_view(text);
    data_ = view.data();
    size_ = view.size();
  }
  constexpr Value(Bytes bytes) noexcept : kind_(Kind::bytes), size_(bytes.size), data_(bytes.data) {}
  constexpr Value(std::initializer_list<Value> values) noexcept : kind_(Kind::array), size_(values.size()) {
    data_ = values.begin();
  }
  // Anything with data() and size(): std::vector, std::array, std::span of values.
  template <class T, class E = std::remove_cv_t<std::remove_reference_t<decltype(*std::declval<const T&>().data())>>,
            std::enable_if_t<!detail::is_text<T> && std::is_convertible_v<E, Value>, int> = 0,
            class = decltype(std::declval<const T&>().size())>
  constexpr Value(const T& values) noexcept : Value(values.data(), values.size()) {}
  template <class E, std::enable_if_t<std::is_convertible_v<E, Value> && !std::is_same_v<E, char>, int> = 0>
  constexpr Value(const E* values, std::size_t count) noexcept
      : kind_(Kind::array),
        size_(count),
        data_(values),
        element_(std::is_same_v<E, Value> ? nullptr : &element_of<E>) {}

  // {{"k", v}, …} is a map only by name: braces alone are an array.
  static Value map(std::initializer_list<Attribute> members) noexcept;
  static Value map(const Attribute* members, std::size_t count) noexcept;

  constexpr Kind kind() const noexcept { return kind_; }
  constexpr std::uint32_t id() const noexcept { return id_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr std::uint64_t word() const noexcept { return word_; }
  constexpr double real() const noexcept { return real_; }
  constexpr const void* data() const noexcept { return data_; }
  Value element(std::size_t i) const noexcept {
    return element_ != nullptr ? element_(data_, i) : static_cast<const Value*>(data_)[i];
  }

 private:
  template <class E>
  static Value element_of(const void* data, std::size_t i) {
    return Value(static_cast<const E*>(data)[i]);
  }

  Kind kind_ = Kind::empty;
  std::uint32_t id_ = 0;
  std::uint64_t size_ = 0;
  union {
    std::uint64_t word_ = 0;
    double real_;
    const void* data_;
  };
  Element element_ = nullptr;
};
static_assert(sizeof(Value) == 32);

struct Attribute {
  Key key;
  Value value;
};
static_assert(sizeof(Attribute) == 48);

inline Value Value::map(const Attribute* members, std::size_t count) noexcept {
  Value value;
  value.kind_ = Kind::map;
  value.size_ = count;
  value.data_ = members;
  return value;
}
inline Value Value::map(std::initializer_list<Attribute> members) noexcept {
  return map(members.begin(), members.size());
}

// A view of attributes, from braces in the call itself or from memory of the caller.
class Attributes {
 public:
  constexpr Attributes() noexcept = default;
  constexpr Attributes(std::initializer_list<Attribute> list) noexcept : size_(list.size()) { data_ = list.begin(); }
  constexpr Attributes(const Attribute* data, std::size_t size) noexcept : data_(data), size_(size) {}
  constexpr const Attribute* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }

 private:
  const Attribute* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tailrace
