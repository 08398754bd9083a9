// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/otlp_value.hpp"

#include <cmath>
#include <cstdint>
#include <span>

#include <protozero/pbf_reader.hpp>

#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;
using Json = nlohmann::ordered_json;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

constexpr const char* kUnreadable = "(unreadable value)";

Json json_of_value(data_view value, int depth);

void add_key_value(Json& object, data_view key_value, int depth) {
  std::string key;
  Json value;
  pbf_reader reader(key_value);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): key = reader.get_string(); break;
      case tag_and_type(2, kBytes): value = json_of_value(reader.get_view(), depth); break;
      default: reader.skip();
    }
  }
  object[key] = std::move(value);
}

Json json_of_double(double number) {
  if (std::isfinite(number)) {
    return number;
  }
  return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
}

Json json_of_value(data_view value, int depth) {
  if (depth > kMaxValueDepth) {
    throw TooDeep{};
  }
  Json json;
  pbf_reader reader(value);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): json = reader.get_string(); break;
      case tag_and_type(2, kVarint): json = reader.get_bool(); break;
      case tag_and_type(3, kVarint): json = reader.get_int64(); break;
      case tag_and_type(4, kFixed64): json = json_of_double(reader.get_double()); break;
      case tag_and_type(5, kBytes): {
        json = Json::array();
        pbf_reader items(reader.get_view());
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, kBytes)) {
            json.push_back(json_of_value(items.get_view(), depth + 1));
          } else {
            items.skip();
          }
        }
        break;
      }
      case tag_and_type(6, kBytes): {
        json = Json::object();
        pbf_reader items(reader.get_view());
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, kBytes)) {
            add_key_value(json, items.get_view(), depth + 1);
          } else {
            items.skip();
          }
        }
        break;
      }
      case tag_and_type(7, kBytes): {
        const data_view bytes = reader.get_view();
        json = "0x" + to_hex(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
        break;
      }
      default: reader.skip();
    }
  }
  return json;
}

}  // namespace

void check_value(data_view value, int depth) {
  if (depth > kMaxValueDepth) {
    throw TooDeep{};
  }
  pbf_reader reader(value);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(5, kBytes): {
        pbf_reader items(reader.get_view());
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, kBytes)) {
            check_value(items.get_view(), depth + 1);
          } else {
            items.skip();
          }
        }
        break;
      }
      case tag_and_type(6, kBytes): {
        pbf_reader items(reader.get_view());
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, kBytes)) {
            check_key_value(items.get_view(), depth + 1);
          } else {
            items.skip();
          }
        }
        break;
      }
      default: reader.skip();
    }
  }
}

void check_key_value(data_view key_value, int depth) {
  pbf_reader reader(key_value);
  while (reader.next()) {
    if (reader.tag_and_type() == tag_and_type(2, kBytes)) {
      check_value(reader.get_view(), depth);
    } else {
      reader.skip();
    }
  }
}

Json value_json(std::string_view value) {
  try {
    return json_of_value(data_view(value.data(), value.size()), 0);
  } catch (const std::exception&) {
    return kUnreadable;
  }
}

Json attributes_json(std::string_view message, unsigned field) {
  Json object = Json::object();
  try {
    pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      if (reader.tag() == field && reader.has_wire_type(kBytes)) {
        add_key_value(object, reader.get_view(), 0);
      } else {
        reader.skip();
      }
    }
  } catch (const std::exception&) {
    object[""] = kUnreadable;
  }
  return object;
}

std::string value_text(std::string_view value) {
  const Json json = value_json(value);
  if (json.is_null()) {
    return {};
  }
  return json.is_string() ? json.get<std::string>() : dump_json(json);
}

std::string dump_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace tailrace::agent::viewer
