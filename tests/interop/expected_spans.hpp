// SPDX-License-Identifier: Apache-2.0
//
// What recorder_spans.cpp must become, written by hand. 259 = sampled, random, parent known to be local;
// 769 = sampled, parent known to be remote; 771 = that with random.
#pragma once

namespace tailrace::interop {

inline constexpr const char* kAttributeSpans[] = {
    R"pb(trace_id: "@scalar"
         span_id: "@scalar"
         name: "attributes.scalar"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "bool.true"
           value { bool_value: true }
         }
         attributes {
           key: "bool.false"
           value { bool_value: false }
         }
         attributes {
           key: "int.zero"
           value { int_value: 0 }
         }
         attributes {
           key: "int.min"
           value { int_value: -9223372036854775808 }
         }
         attributes {
           key: "int.max"
           value { int_value: 9223372036854775807 }
         }
         attributes {
           key: "int.i8"
           value { int_value: -128 }
         }
         attributes {
           key: "int.u32"
           value { int_value: 4294967295 }
         }
         attributes {
           key: "int.u64"
           value { int_value: 42 }
         }
         attributes {
           key: "int.u64.max"
           value { string_value: "18446744073709551615" }
         }
         attributes {
           key: "int.enum"
           value { int_value: 7 }
         }
         attributes {
           key: "double.third"
           value { double_value: 0.33333333333333331 }
         }
         attributes {
           key: "double.float"
           value { double_value: 0.5 }
         }
         attributes {
           key: "double.nan"
           value { double_value: nan }
         }
         attributes {
           key: "double.inf"
           value { double_value: inf }
         }
         attributes {
           key: "double.minus.inf"
           value { double_value: -inf }
         }
         attributes {
           key: "double.minus.zero"
           value { double_value: -0.0 }
         }
         attributes {
           key: "double.zero"
           value { double_value: 0 }
         }
         attributes {
           key: "double.max"
           value { double_value: 1.7976931348623157e308 }
         }
         attributes {
           key: "double.denormal"
           value { double_value: 4.9406564584124654e-324 }
         }
         attributes {
           key: "empty"
           value {}
         }
         attributes {
           key: "key.plain"
           value { int_value: 1 }
         }
         attributes {
           key: "key.plain.of.more.than.sixteen.bytes"
           value { int_value: 2 }
         }
         attributes {
           key: "key.string"
           value { int_value: 3 }
         }
         attributes {
           key: "key.view"
           value { int_value: 4 }
         }
         attributes {
           key: "key.macro"
           value { int_value: 5 }
         }
         attributes {
           key: "key.list.1"
           value { int_value: 6 }
         }
         attributes {
           key: "key.list.2"
           value { string_value: "seven" }
         })pb",
    R"pb(trace_id: "@text"
         span_id: "@text"
         name: "attributes.text"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "literal"
           value { string_value: "a value of the program" }
         }
         attributes {
           key: "array"
           value { string_value: "characters" }
         }
         attributes {
           key: "string"
           value { int_value: 5 }
         }
         attributes {
           key: "view"
           value { string_value: "a view" }
         }
         attributes {
           key: "empty"
           value { string_value: "" }
         }
         attributes {
           key: "empty.string"
           value { string_value: "" }
         }
         attributes {
           key: "one"
           value { string_value: "one" }
         }
         attributes {
           key: "utf8"
           value { string_value: "gr\303\274\303\237 \344\270\226\347\225\214 \360\237\246\234" }
         }
         attributes {
           key: "nul"
           value { string_value: "a\000b" }
         }
         attributes {
           key: "not.utf8"
           value { string_value: "bad \357\277\275 byte" }
         }
         attributes {
           key: "long"
           value { string_value: "$l*600" }
         }
         attributes {
           key: "bytes"
           value { bytes_value: "\000\001\177\200\377" }
         }
         attributes {
           key: "bytes.empty"
           value { bytes_value: "" }
         })pb",
    R"pb(trace_id: "@array"
         span_id: "@array"
         name: "attributes.array"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "bools"
           value {
             array_value {
               values { bool_value: true }
               values { bool_value: false }
               values { bool_value: true }
             }
           }
         }
         attributes {
           key: "ints"
           value {
             array_value {
               values { int_value: -9223372036854775808 }
               values { int_value: -1 }
               values { int_value: 0 }
               values { int_value: 1 }
             }
           }
         }
         attributes {
           key: "doubles"
           value {
             array_value {
               values { double_value: 0.5 }
               values { double_value: -0.0 }
               values { double_value: inf }
             }
           }
         }
         attributes {
           key: "strings"
           value {
             array_value {
               values { string_value: "a" }
               values { string_value: "" }
               values { string_value: "\303\244" }
             }
           }
         }
         attributes {
           key: "literals"
           value {
             array_value {
               values { string_value: "x" }
               values { string_value: "y" }
             }
           }
         }
         attributes {
           key: "bytes"
           value {
             array_value {
               values { bytes_value: "\000\377" }
               values { bytes_value: "" }
             }
           }
         }
         attributes {
           key: "empties"
           value {
             array_value {
               values {}
               values {}
             }
           }
         }
         attributes {
           key: "none"
           value { array_value {} }
         }
         attributes {
           key: "mixed"
           value {
             array_value {
               values { int_value: 1 }
               values { string_value: "two" }
               values { double_value: 3.5 }
               values { bool_value: true }
               values {}
               values { bytes_value: "\006" }
             }
           }
         }
         attributes {
           key: "nested"
           value {
             array_value {
               values {
                 array_value {
                   values { int_value: 1 }
                   values { int_value: 2 }
                 }
               }
               values { array_value { values { string_value: "a" } } }
               values {
                 array_value {
                   values { array_value { values { bool_value: true } } }
                   values { array_value {} }
                 }
               }
               values {
                 kvlist_value {
                   values {
                     key: "in"
                     value { string_value: "side" }
                   }
                 }
               }
             }
           }
         }
         attributes {
           key: "pointer"
           value {
             array_value {
               values { int_value: 2 }
               values { int_value: 3 }
               values { int_value: 5 }
             }
           }
         })pb",
    R"pb(trace_id: "@map"
         span_id: "@map"
         name: "attributes.map"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "map"
           value {
             kvlist_value {
               values {
                 key: "bool"
                 value { bool_value: true }
               }
               values {
                 key: "int"
                 value { int_value: -1 }
               }
               values {
                 key: "double"
                 value { double_value: 0.25 }
               }
               values {
                 key: "string"
                 value { string_value: "text" }
               }
               values {
                 key: "literal"
                 value { string_value: "value" }
               }
               values {
                 key: "bytes"
                 value { bytes_value: "\336\255" }
               }
               values {
                 key: "empty"
                 value {}
               }
               values {
                 key: "array"
                 value {
                   array_value {
                     values { int_value: 1 }
                     values { string_value: "x" }
                     values {
                       array_value {
                         values { int_value: 2 }
                         values { int_value: 3 }
                       }
                     }
                   }
                 }
               }
               values {
                 key: "map"
                 value {
                   kvlist_value {
                     values {
                       key: "deeper"
                       value {
                         kvlist_value {
                           values {
                             key: "deepest"
                             value { int_value: 3 }
                           }
                         }
                       }
                     }
                   }
                 }
               }
             }
           }
         }
         attributes {
           key: "map.empty"
           value { kvlist_value {} }
         }
         attributes {
           key: "deep.16"
           value {
             array_value {
               values {
                 array_value {
                   values {
                     array_value {
                       values {
                         array_value {
                           values {
                             array_value {
                               values {
                                 array_value {
                                   values {
                                     array_value {
                                       values {
                                         array_value {
                                           values {
                                             array_value {
                                               values {
                                                 array_value {
                                                   values {
                                                     array_value {
                                                       values {
                                                         array_value {
                                                           values {
                                                             array_value {
                                                               values {
                                                                 array_value {
                                                                   values {
                                                                     array_value {
                                                                       values {
                                                                         array_value { values { int_value: 1 } }
                                                                       }
                                                                     }
                                                                   }
                                                                 }
                                                               }
                                                             }
                                                           }
                                                         }
                                                       }
                                                     }
                                                   }
                                                 }
                                               }
                                             }
                                           }
                                         }
                                       }
                                     }
                                   }
                                 }
                               }
                             }
                           }
                         }
                       }
                     }
                   }
                 }
               }
             }
           }
         }
         attributes {
           key: "deep.20"
           value {
             array_value {
               values {
                 array_value {
                   values {
                     array_value {
                       values {
                         array_value {
                           values {
                             array_value {
                               values {
                                 array_value {
                                   values {
                                     array_value {
                                       values {
                                         array_value {
                                           values {
                                             array_value {
                                               values {
                                                 array_value {
                                                   values {
                                                     array_value {
                                                       values {
                                                         array_value {
                                                           values {
                                                             array_value {
                                                               values {
                                                                 array_value {
                                                                   values {
                                                                     array_value {
                                                                       values { array_value { values {} } }
                                                                     }
                                                                   }
                                                                 }
                                                               }
                                                             }
                                                           }
                                                         }
                                                       }
                                                     }
                                                   }
                                                 }
                                               }
                                             }
                                           }
                                         }
                                       }
                                     }
                                   }
                                 }
                               }
                             }
                           }
                         }
                       }
                     }
                   }
                 }
               }
             }
           }
         })pb",
    R"pb(trace_id: "@time.given"
         span_id: "@time.given"
         name: "time.given"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         start_time_unix_nano: 1700000000123456789
         end_time_unix_nano: 1700000001123456796
         events { name: "time.event" time_unix_nano: 1700000000123456790 })pb",
    R"pb(trace_id: "@time.system_clock"
         span_id: "@time.system_clock"
         name: "time.system_clock"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         start_time_unix_nano: 1700000000123456789
         end_time_unix_nano: 1700003600123456789)pb",
    R"pb(trace_id: "@time.backward"
         span_id: "@time.backward"
         name: "time.backward"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         start_time_unix_nano: 1700000000123456789
         end_time_unix_nano: 1700000000123456789)pb",
    R"pb(trace_id: "@time.steady_clock"
         span_id: "@time.steady_clock"
         name: "time.steady_clock"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         events { name: "time.steady_event" })pb",
};

inline constexpr const char*
    kParentSpans
        [] =
            {
                R"pb(trace_id: "@root" span_id: "@root" name: "parent.root" kind: SPAN_KIND_INTERNAL flags: 259)pb",
                R"pb(trace_id: "@root"
                     span_id: "@implicit"
                     parent_span_id: "@root"
                     name: "parent.implicit"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@root"
                     span_id: "@implicit.twice"
                     parent_span_id: "@implicit"
                     name: "parent.implicit.twice"
                     kind: SPAN_KIND_CLIENT
                     flags: 259)pb",
                R"pb(trace_id: "@none" span_id: "@none" name: "parent.none" kind: SPAN_KIND_INTERNAL flags: 259)pb",
                R"pb(trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                     span_id: "@remote"
                     parent_span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                     name: "parent.remote"
                     kind: SPAN_KIND_SERVER
                     flags: 769)pb",
                R"pb(trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                     span_id: "@below_remote"
                     parent_span_id: "@remote"
                     name: "parent.below_remote"
                     kind: SPAN_KIND_INTERNAL
                     flags: 257)pb",
                R"pb(trace_id: "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
                     span_id: "@remote_random"
                     parent_span_id: "\xb7\xad\x6b\x71\x69\x20\x33\x31"
                     trace_state: "vendor=opaque,other=value"
                     name: "parent.remote_random"
                     kind: SPAN_KIND_INTERNAL
                     flags: 771)pb",
                R"pb(trace_id: "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
                     span_id: "@below_remote_random"
                     parent_span_id: "@remote_random"
                     trace_state: "vendor=opaque,other=value"
                     name: "parent.below_remote_random"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
                     span_id: "@extracted"
                     parent_span_id: "\xb7\xad\x6b\x71\x69\x20\x33\x31"
                     trace_state: "congo=t61rcWkgMzE,ot=th:4;rv:80000000000000"
                     name: "parent.extracted"
                     kind: SPAN_KIND_INTERNAL
                     flags: 769)pb",
                R"pb(trace_id: "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
                     span_id: "@below_extracted"
                     parent_span_id: "@extracted"
                     trace_state: "congo=t61rcWkgMzE,ot=th:4;rv:80000000000000"
                     name: "parent.below_extracted"
                     kind: SPAN_KIND_INTERNAL
                     flags: 257)pb",
                R"pb(trace_id: "@detached"
                     span_id: "@detached"
                     name: "parent.detached"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259
                     attributes {
                       key: "thread"
                       value { string_value: "another" }
                     }
                     events { name: "there" })pb",
                R"pb(trace_id: "@not_current"
                     span_id: "@not_current"
                     name: "parent.not_current"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@detached"
                     span_id: "@activated"
                     parent_span_id: "@detached"
                     name: "parent.activated"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                     span_id: "@activated_remote"
                     parent_span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                     name: "parent.activated_remote"
                     kind: SPAN_KIND_INTERNAL
                     flags: 769)pb",
                R"pb(trace_id: "@detached"
                     span_id: "@explicit"
                     parent_span_id: "@detached"
                     name: "parent.explicit"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@order.first"
                     span_id: "@order.first"
                     name: "order.first"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@order.first"
                     span_id: "@order.second"
                     parent_span_id: "@order.first"
                     name: "order.second"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@order.first"
                     span_id: "@order.third"
                     parent_span_id: "@order.second"
                     name: "order.third"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@order.fourth"
                     span_id: "@order.fourth"
                     name: "order.fourth"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@kind.0" span_id: "@kind.0" name: "kind.0" kind: SPAN_KIND_UNSPECIFIED flags: 259)pb",
                R"pb(trace_id: "@kind.1" span_id: "@kind.1" name: "kind.1" kind: SPAN_KIND_INTERNAL flags: 259)pb",
                R"pb(trace_id: "@kind.2" span_id: "@kind.2" name: "kind.2" kind: SPAN_KIND_SERVER flags: 259)pb",
                R"pb(trace_id: "@kind.3" span_id: "@kind.3" name: "kind.3" kind: SPAN_KIND_CLIENT flags: 259)pb",
                R"pb(trace_id: "@kind.4" span_id: "@kind.4" name: "kind.4" kind: SPAN_KIND_PRODUCER flags: 259)pb",
                R"pb(trace_id: "@kind.5" span_id: "@kind.5" name: "kind.5" kind: SPAN_KIND_CONSUMER flags: 259)pb",
                R"pb(trace_id: "@priority.0"
                     span_id: "@priority.0"
                     name: "priority.0"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@priority.1"
                     span_id: "@priority.1"
                     name: "priority.1"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@priority.2"
                     span_id: "@priority.2"
                     name: "priority.2"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
                R"pb(trace_id: "@priority.3"
                     span_id: "@priority.3"
                     name: "priority.3"
                     kind: SPAN_KIND_INTERNAL
                     flags: 259)pb",
};

inline constexpr const char*
    kItemSpans[] =
        {
            R"pb(trace_id: "@status.unset"
                 span_id: "@status.unset"
                 name: "status.unset"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259)pb",
            R"pb(trace_id: "@status.ok"
                 span_id: "@status.ok"
                 name: "status.ok"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_OK })pb",
            R"pb(trace_id: "@status.error"
                 span_id: "@status.error"
                 name: "status.error"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_ERROR message: "it broke: \303\244" })pb",
            R"pb(trace_id: "@status.error_without_message"
                 span_id: "@status.error_without_message"
                 name: "status.error_without_message"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_ERROR })pb",
            R"pb(trace_id: "@status.error_then_ok"
                 span_id: "@status.error_then_ok"
                 name: "status.error_then_ok"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_OK })pb",
            R"pb(trace_id: "@status.error_twice"
                 span_id: "@status.error_twice"
                 name: "status.error_twice"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_ERROR message: "second" })pb",
            R"pb(trace_id: "@status.ok_is_final"
                 span_id: "@status.ok_is_final"
                 name: "status.ok_is_final"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_OK })pb",
            R"pb(trace_id: "@renamed from"
                 span_id: "@renamed from"
                 name: "rename.literal"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259)pb",
            R"pb(trace_id: "@renamed twice"
                 span_id: "@renamed twice"
                 name: "rename.string of run time"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259)pb",
            R"pb(trace_id: "@exception.standard"
                 span_id: "@exception.standard"
                 name: "exception.standard"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 events {
                   name: "exception"
                   attributes {
                     key: "exception.type"
                     value { string_value: "std::runtime_error" }
                   }
                   attributes {
                     key: "exception.message"
                     value { string_value: "boom" }
                   }
                 })pb",
            R"pb(trace_id: "@exception.own"
                 span_id: "@exception.own"
                 name: "exception.own"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 status { code: STATUS_CODE_ERROR message: "refused" }
                 events {
                   name: "exception"
                   attributes {
                     key: "exception.type"
                     value { string_value: "tailrace::interop::(anonymous namespace)::Refusal" }
                   }
                   attributes {
                     key: "exception.message"
                     value { string_value: "refused" }
                   }
                   attributes {
                     key: "exception.escaped"
                     value { bool_value: true }
                   }
                   attributes {
                     key: "attempt"
                     value { int_value: 2 }
                   }
                 })pb",
            R"pb(trace_id: "@events"
                 span_id: "@events"
                 name: "events"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 events { name: "plain" }
                 events { name: "of run time: 1" }
                 events { name: "timed" time_unix_nano: 1700000000123456789 }
                 events {
                   name: "described"
                   time_unix_nano: 1700000000123456791
                   attributes {
                     key: "bool"
                     value { bool_value: true }
                   }
                   attributes {
                     key: "int"
                     value { int_value: -5 }
                   }
                   attributes {
                     key: "double"
                     value { double_value: 1e300 }
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
                     value { bytes_value: "\200" }
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
                         values {
                           array_value {
                             values { double_value: 2.5 }
                             values { string_value: "x" }
                           }
                         }
                       }
                     }
                   }
                   attributes {
                     key: "map"
                     value {
                       kvlist_value {
                         values {
                           key: "k"
                           value { array_value { values { bool_value: true } } }
                         }
                       }
                     }
                   }
                 }
                 events {
                   name: "twice"
                   attributes {
                     key: "k"
                     value { int_value: 3 }
                   }
                   attributes {
                     key: "other"
                     value { int_value: 2 }
                   }
                 }
                 events { name: "unnamed" })pb",
            R"pb(trace_id: "@links.target"
                 span_id: "@links.target"
                 name: "links.target"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259)pb",
            R"pb(trace_id: "@links"
                 span_id: "@links"
                 name: "links"
                 kind: SPAN_KIND_INTERNAL
                 flags: 259
                 links {
                   trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                   span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                   flags: 769
                   attributes {
                     key: "at"
                     value { string_value: "start" }
                   }
                 }
                 links { trace_id: "@links.target" span_id: "@links.target" flags: 259 }
                 links {
                   trace_id: "@links.target"
                   span_id: "@links.target"
                   flags: 259
                   attributes {
                     key: "bool"
                     value { bool_value: true }
                   }
                   attributes {
                     key: "array"
                     value {
                       array_value {
                         values { int_value: 1 }
                         values { int_value: 2 }
                       }
                     }
                   }
                   attributes {
                     key: "map"
                     value {
                       kvlist_value {
                         values {
                           key: "k"
                           value { string_value: "v" }
                         }
                       }
                     }
                   }
                 }
                 links {
                   trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                   span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                   flags: 769
                 }
                 links {
                   trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                   span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                   flags: 258
                 }
                 links {
                   trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
                   span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
                   flags: 769
                   trace_state: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
                   attributes {
                     key: "carries"
                     value { string_value: "a tracestate" }
                   }
                 }
                 links {
                   flags: 256
                   attributes {
                     key: "says"
                     value { string_value: "something" }
                   }
                 }
                 dropped_links_count: 1)pb",
            R"pb(trace_id: "@logs.span" span_id: "@logs.span" name: "logs.span" kind: SPAN_KIND_INTERNAL flags: 259)pb",
};

inline constexpr const char* kLibraryScope =
    R"pb(name: "library"
         version: "2.0.1"
         attributes {
           key: "scope.bool"
           value { bool_value: false }
         }
         attributes {
           key: "scope.int"
           value { int_value: 9007199254740993 }
         }
         attributes {
           key: "scope.text"
           value { string_value: "\303\237" }
         }
         attributes {
           key: "scope.list"
           value {
             array_value {
               values { string_value: "a" }
               values { int_value: 1 }
             }
           }
         }
         attributes {
           key: "scope.map"
           value {
             kvlist_value {
               values {
                 key: "k"
                 value { bytes_value: "\001" }
               }
             }
           }
         })pb";
inline constexpr const char* kLibrarySchema = "https://opentelemetry.io/schemas/1.44.0";
inline constexpr const char* kLibrarySpans[] = {
    R"pb(trace_id: "@scope.whole" span_id: "@scope.whole" name: "scope.whole" kind: SPAN_KIND_INTERNAL flags: 259)pb",
    R"pb(trace_id: "@scope.whole"
         span_id: "@scope.same"
         parent_span_id: "@scope.whole"
         name: "scope.same"
         kind: SPAN_KIND_INTERNAL
         flags: 259)pb",
};
inline constexpr const char* kOtherScope = R"pb(name: "library" version: "2.0.2")pb";
inline constexpr const char* kOtherSpan =
    R"pb(trace_id: "@scope.whole"
         span_id: "@scope.other"
         parent_span_id: "@scope.whole"
         name: "scope.other"
         kind: SPAN_KIND_INTERNAL
         flags: 259)pb";

// With OTEL_*_LIMIT as delivery_test.cpp sets them.
inline constexpr const char* kLimitedSpans[] = {
    R"pb(trace_id: "@limited"
         span_id: "@limited"
         name: "limited, and no attribute is its name"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "kept.1"
           value { string_value: "abcde" }
         }
         attributes {
           key: "kept.2"
           value { string_value: "\303\244\303\266\303\274\303\237\303\251" }
         }
         attributes {
           key: "kept.3"
           value { bytes_value: "12345" }
         }
         attributes {
           key: "kept.4"
           value {
             array_value {
               values { string_value: "12345" }
               values {
                 kvlist_value {
                   values {
                     key: "m"
                     value { string_value: "12345" }
                   }
                 }
               }
               values { int_value: 1234567890 }
             }
           }
         }
         dropped_attributes_count: 2
         events {
           name: "an event of a longer name"
           dropped_attributes_count: 1
           attributes {
             key: "a"
             value { string_value: "12345" }
           }
           attributes {
             key: "b"
             value { int_value: 2 }
           }
         }
         events { name: "second" }
         dropped_events_count: 1
         links {
           trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
           span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
           flags: 769
           dropped_attributes_count: 1
           attributes {
             key: "a"
             value { string_value: "12345" }
           }
         }
         dropped_links_count: 2
         status { code: STATUS_CODE_ERROR message: "a message is no attribute" })pb",
    R"pb(trace_id: "@named"
         span_id: "@named"
         name: "a name of run time, which is no attribute"
         trace_state: "vendor=opaque,other=value"
         kind: SPAN_KIND_INTERNAL
         flags: 259)pb",
};

// Of a thread that has no lane.
inline constexpr const char* kSharedSpans[] = {
    R"pb(trace_id: "@first" span_id: "@first" name: "takes the only lane" kind: SPAN_KIND_INTERNAL flags: 259)pb",
    R"pb(trace_id: "@first"
         span_id: "@second"
         parent_span_id: "@first"
         name: "without a lane"
         kind: SPAN_KIND_INTERNAL
         flags: 259
         attributes {
           key: "key"
           value { string_value: "value" }
         }
         events { name: "event" })pb",
    R"pb(trace_id: "@first"
         span_id: "@child"
         parent_span_id: "@second"
         name: "a child there"
         kind: SPAN_KIND_INTERNAL
         flags: 259)pb",
};

}  // namespace tailrace::interop
