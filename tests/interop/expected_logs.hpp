// SPDX-License-Identifier: Apache-2.0
//
// What recorder_logs.cpp must become, written by hand.
#pragma once

namespace tailrace::interop {

inline constexpr const char* kTemplateLogs[] = {
    R"pb(severity_number: SEVERITY_NUMBER_TRACE
         body { string_value: "level trace" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_DEBUG
         body { string_value: "level debug" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "level info" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_WARN
         body { string_value: "level warn" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_ERROR
         body { string_value: "level error" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_FATAL
         body { string_value: "level fatal" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "literal 1 2" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "ints 0 -1 -9223372036854775808 18446744073709551615" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "doubles 0.1 1e+100 inf 0.5" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "bools true false" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "strings array string view literal" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "text |gr\303\274\303\237 \360\237\246\234|$x*100" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "bytes dead00 and nothing null" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "lists [1, two, [3.5, true]] {a: 1, b: [2]}" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "braces {} 1" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "specs     42|ab    |  cd  |003.14|0xff|+7|abc" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "numbered b a b" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "width    5|" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "not utf8 \357\277\275" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "wrong {} {} (1)" })pb",
};

inline constexpr const char* kRecordLogs[] = {
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "attributes" }
         attributes {
           key: "bool"
           value { bool_value: true }
         }
         attributes {
           key: "int"
           value { int_value: -9 }
         }
         attributes {
           key: "double"
           value { double_value: -0.0 }
         }
         attributes {
           key: "string"
           value { string_value: "s" }
         }
         attributes {
           key: "literal"
           value { string_value: "l" }
         }
         attributes {
           key: "bytes"
           value { bytes_value: "\000" }
         }
         attributes {
           key: "empty"
           value {}
         }
         attributes {
           key: "array"
           value {
             array_value {
               values { int_value: 1 }
               values { array_value { values { string_value: "x" } } }
             }
           }
         }
         attributes {
           key: "map"
           value {
             kvlist_value {
               values {
                 key: "k"
                 value {
                   kvlist_value {
                     values {
                       key: "l"
                       value { int_value: 2 }
                     }
                   }
                 }
               }
             }
           }
         }
         attributes {
           key: "twice"
           value { string_value: "last" }
         })pb",
    R"pb(severity_number: SEVERITY_NUMBER_WARN
         body { string_value: "literal body" }
         attributes {
           key: "k"
           value { int_value: 1 }
         })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO2
         severity_text: "NOTICE"
         body { string_value: "everything" }
         time_unix_nano: 1700000000123456789
         observed_time_unix_nano: 1700000000123456794
         event_name: "shop.order.paid"
         attributes {
           key: "k"
           value { string_value: "v" }
         })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO event_name: "event.without_body")pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.bool"
         body { bool_value: true })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.int"
         body { int_value: -9223372036854775808 })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.double"
         body { double_value: 0.1 })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.string_empty"
         body { string_value: "" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.literal"
         body { string_value: "lit {}" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.bytes"
         body { bytes_value: "\000\376" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.array"
         body {
           array_value {
             values { int_value: 1 }
             values { string_value: "x" }
             values {
               array_value {
                 values {}
                 values { bool_value: false }
               }
             }
           }
         })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         event_name: "body.map"
         body {
           kvlist_value {
             values {
               key: "k"
               value { int_value: 1 }
             }
             values {
               key: "m"
               value {
                 kvlist_value {
                   values {
                     key: "n"
                     value { string_value: "o" }
                   }
                 }
               }
             }
           }
         })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "log priority 0" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "log priority 1" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "log priority 2" })pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "log priority 3" })pb",
    // Each carries the ids and the flags (sampled 1, random 2) of the current context, or of the given one.
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "in a span 1" }
         trace_id: "@logs.span"
         span_id: "@logs.span"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_WARN
         body { string_value: "in a span" }
         attributes {
           key: "k"
           value { int_value: 1 }
         }
         trace_id: "@logs.span"
         span_id: "@logs.span"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_ERROR
         body { string_value: "in a span, critical" }
         trace_id: "@logs.span"
         span_id: "@logs.span"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "in a span, as a record" }
         trace_id: "@logs.span"
         span_id: "@logs.span"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "of another context" }
         trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
         span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
         flags: 1)pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "a log in an activated context" }
         trace_id: "@detached"
         span_id: "@activated"
         flags: 3)pb",
};

inline constexpr const char* kLibraryLog =
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "of a library" }
         trace_id: "@scope.whole"
         span_id: "@scope.other"
         flags: 3)pb";

inline constexpr const char* kLimitedLogs[] = {
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "limits do not cut arguments: 123456789" }
         trace_id: "@limited"
         span_id: "@limited"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "a body of attributes is whole" }
         attributes {
           key: "a"
           value { string_value: "12345" }
         }
         attributes {
           key: "b"
           value { int_value: 2 }
         }
         dropped_attributes_count: 1
         trace_id: "@limited"
         span_id: "@limited"
         flags: 3)pb",
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         severity_text: "SEVERITY"
         body { string_value: "this body, too" }
         event_name: "an.event.name"
         attributes {
           key: "a"
           value { bytes_value: "12345" }
         }
         trace_id: "@limited"
         span_id: "@limited"
         flags: 3)pb",
};

inline constexpr const char* kSharedLogs[] = {
    R"pb(severity_number: SEVERITY_NUMBER_INFO
         body { string_value: "a log without a lane: 7" }
         trace_id: "@first"
         span_id: "@second"
         flags: 3)pb",
};

}  // namespace tailrace::interop
