# SPDX-License-Identifier: Apache-2.0
"""Tailrace for Python: the essentials of <tailrace/tailrace.h> through ctypes, as an example of a binding.

    import tailrace
    tailrace.init("checkout")
    with tailrace.span("pay", {"amount": 42}) as span:
        tailrace.info("paid {} for {}", 42, "Ada")
        span.set("currency", "EUR")
    tailrace.counter("payments").add(1, {"method": "card"})

What the library gets is copied before a call returns, so that nothing has to be kept alive here but the buffers of the
call itself. A span is current on the thread that began it: finish it there, as `with` does. ctypes gives the GIL free
during each call; the library allows any thread.
TAILRACE_LIBRARY names the library, else libtailrace.so.1 is looked for as every library is.
"""
import ctypes
import os
from ctypes import POINTER, Structure, Union, byref, c_bool, c_char, c_char_p, c_double, c_int64, c_size_t, c_uint8
from ctypes import c_uint32, c_uint64, c_void_p, sizeof

_library = ctypes.CDLL(os.environ.get("TAILRACE_LIBRARY", "libtailrace.so.1"))

# ---- The structs of the header, member by member ----

INFO, WARN, ERROR = 9, 13, 17
STATUS_OK, STATUS_ERROR = 1, 2
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
_BOOL, _INT, _DOUBLE, _STRING, _BYTES, _ARRAY, _MAP, _UINT = 1, 2, 3, 4, 5, 6, 7, 8


class Text(Structure):
    _fields_ = [("data", c_char_p), ("size", c_size_t)]


class Name(Structure):
    _fields_ = [("text", c_char_p), ("length", c_uint32), ("id", c_uint32)]


class Time(Structure):
    _fields_ = [("value", c_uint64), ("clock", c_uint32), ("reserved", c_uint32)]


class Context(Structure):
    _fields_ = [("trace_id", c_uint8 * 16), ("span_id", c_uint8 * 8), ("sampled", c_uint8), ("random", c_uint8),
                ("remote", c_uint8), ("reserved", c_uint8), ("trace_state", c_uint32)]

    def __str__(self):
        text = ctypes.create_string_buffer(56)
        _library.tailrace_context_to_traceparent(byref(self), text)
        return text.value.decode()


class _As(Union):
    _fields_ = [("integer", c_int64), ("natural", c_uint64), ("real", c_double), ("pointer", c_void_p)]


class Value(Structure):
    _fields_ = [("type", c_uint32), ("id", c_uint32), ("size", c_uint64), ("as_", _As), ("reserved", c_uint64)]


class Attribute(Structure):
    _fields_ = [("key", Name), ("value", Value)]


class _Span(Structure):
    _fields_ = [("state", c_uint64 * 5), ("ids", c_uint64 * 4), ("tag", c_uint64)]


class _SpanOptions(Structure):
    _fields_ = [("size", c_uint32), ("kind", c_uint8), ("priority", c_uint8), ("parent_mode", c_uint8), ("reserved", c_uint8),
                ("parent", POINTER(Context)), ("start", Time), ("links", c_void_p), ("link_count", c_size_t),
                ("trace_state", Text), ("scope", c_uint32), ("reserved_end", c_uint32)]


class _Config(Structure):  # the beginning of it; tailrace_config_init() knows how much there is
    _fields_ = [("size", c_uint32), ("flags", c_uint8 * 12), ("sampler_ratio", c_double), ("service", Text),
                ("service_version", Text), ("rest", c_uint8 * 112)]


class _Outcome(Structure):
    _fields_ = [("code", c_uint32), ("sentence", c_char * 500)]


class _InstrumentOptions(Structure):
    _fields_ = [("size", c_uint32), ("kind", c_uint8), ("number", c_uint8), ("histogram", c_uint8), ("negatives", c_uint8),
                ("scale", ctypes.c_int8), ("scale_given", c_uint8), ("reserved", c_uint8 * 2), ("cardinality_limit", c_uint32),
                ("unit", Text), ("description", Text), ("bounds", POINTER(c_double)), ("bound_count", c_size_t),
                ("smallest", c_double), ("greatest", c_double), ("scope", c_uint32), ("reserved_end", c_uint32)]


class Stats(Structure):
    _fields_ = [("size", c_uint32), ("mode", c_uint32), ("written", c_uint64 * 3), ("dropped", c_uint64 * 12),
                ("unlaned_dropped", c_uint64 * 12), ("not_sampled", c_uint64), ("refused", c_uint64), ("cut", c_uint64),
                ("before_init", c_uint64), ("unrecorded", c_uint64), ("bad_input", c_uint64), ("series", c_uint64),
                ("metrics", c_uint64 * 3), ("callbacks_failed", c_uint64), ("lanes_in_use", c_uint32), ("lanes_used", c_uint32),
                ("initialised", c_uint32), ("reserved", c_uint32), ("why", c_char * 248), ("segment", c_char * 32)]


def _declare(name, result, *arguments):
    function = getattr(_library, "tailrace_" + name)
    function.restype, function.argtypes = result, arguments
    return function


_config_init = _declare("config_init", c_bool, POINTER(_Config), c_size_t)
_process_init = _declare("process_init", c_uint32, POINTER(_Config), POINTER(_Outcome))
_process_stats = _declare("process_stats", c_bool, POINTER(Stats))
_process_flush = _declare("process_flush", c_uint32, c_uint64, c_uint32, c_void_p)
_thread_attach = _declare("thread_attach", c_bool, c_char_p, c_size_t)
_name_intern = _declare("name_intern", Name, c_char_p, c_size_t)
_from_traceparent = _declare("context_from_traceparent", c_bool, c_char_p, c_size_t, POINTER(Context))
_span_begin = _declare("span_begin", c_bool, POINTER(_Span), Name, POINTER(_SpanOptions))
_span_recording = _declare("span_recording", c_bool, POINTER(_Span))
_span_context = _declare("span_get_context", c_bool, POINTER(_Span), POINTER(Context))
_span_set = _declare("span_set_value", c_bool, POINTER(_Span), Name, POINTER(Value))
_span_event = _declare("span_add_event", c_bool, POINTER(_Span), Name, POINTER(Attribute), c_size_t, Time)
_span_exception = _declare("span_add_exception", c_bool, POINTER(_Span), Text, Text, Text, POINTER(Attribute), c_size_t)
_span_status = _declare("span_set_status", c_bool, POINTER(_Span), c_uint32, c_char_p, c_size_t)
_span_finish = _declare("span_finish", c_bool, POINTER(_Span))
_log_template = _declare("log_template", c_bool, c_uint32, Name, POINTER(Value), c_size_t)
_log_text = _declare("log_text", c_bool, c_uint32, Name, POINTER(Attribute), c_size_t)
_instrument_get = _declare("instrument_get", c_void_p, Text, POINTER(_InstrumentOptions))
_measure_int = _declare("instrument_measure_int", c_bool, c_void_p, c_int64, POINTER(Attribute), c_size_t)
_measure_double = _declare("instrument_measure_double", c_bool, c_void_p, c_double, POINTER(Attribute), c_size_t)
_declare("context_to_traceparent", c_bool, POINTER(Context), c_char_p)

# ---- Values: Python's as the library's ----

_names = {}


def _name(text):
    """Interned once: a program's names and keys are few. Its text is the library's own copy."""
    name = _names.get(text)
    if name is None:
        data = text.encode()
        name = _name_intern(data, len(data))
        name.data = data  # where the table of strings is full the name leads to these bytes
        _names[text] = name
    return name


def _value(value, alive):
    """`alive` keeps what the value leads to until the call is over."""
    result = Value()
    if isinstance(value, bool):
        result.type, result.as_.natural = _BOOL, value
    elif isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            result.type, result.as_.integer = _INT, value
        elif 0 <= value < 1 << 64:
            result.type, result.as_.natural = _UINT, value
        else:
            return _value(str(value), alive)
    elif isinstance(value, float):
        result.type, result.as_.real = _DOUBLE, value
    elif isinstance(value, (str, bytes)):
        data = value.encode(errors="replace") if isinstance(value, str) else value
        result.type = _STRING if isinstance(value, str) else _BYTES
        _lead(result, ctypes.create_string_buffer(data, len(data)) if data else None, len(data), alive)
    elif isinstance(value, dict):
        result.type = _MAP
        _lead(result, _attributes(value, alive) if value else None, len(value), alive)
    elif isinstance(value, (list, tuple)):
        result.type = _ARRAY
        _lead(result, (Value * len(value))(*(_value(v, alive) for v in value)) if value else None, len(value), alive)
    elif value is not None:
        return _value(str(value), alive)
    return result


def _lead(result, memory, size, alive):
    alive.append(memory)
    result.size = size
    result.as_.pointer = ctypes.cast(memory, c_void_p) if memory is not None else None


def _attributes(attributes, alive):
    return (Attribute * len(attributes))(*(Attribute(_name(k), _value(v, alive)) for k, v in attributes.items()))


def _text(text):
    data = text.encode(errors="replace")
    return Text(data, len(data))


# ---- What a program uses ----


def init(service, version=""):
    """Once. Returns the outcome's sentence; a failure leaves the program without telemetry, and nothing else."""
    config = _Config()
    _config_init(byref(config), sizeof(config))
    config.service, config.service_version = _text(service), _text(version)
    outcome = _Outcome()
    _process_init(byref(config), byref(outcome))
    return outcome.sentence.decode()


def stats():
    result = Stats(size=sizeof(Stats))
    _process_stats(byref(result))
    return result


def flush(seconds):
    """True: everything recorded before has an answer."""
    return _process_flush(int(seconds * 1000), 0, None) == 0


def attach_thread(name):
    data = name.encode()
    return _thread_attach(data, len(data))


class Span:
    """Current on its thread until finish(), or the end of its `with`."""

    def __init__(self, name, attributes=None, kind=INTERNAL, parent=None):
        self._span = _Span()
        options = _SpanOptions(size=sizeof(_SpanOptions), kind=kind)
        if parent is not None:
            context = Context()
            data = parent.encode()
            _from_traceparent(data, len(data), byref(context))
            options.parent_mode, options.parent = 1, ctypes.pointer(context)
        _span_begin(byref(self._span), _name(name), byref(options))
        for key, value in (attributes or {}).items():
            self.set(key, value)

    def recording(self):
        return _span_recording(byref(self._span))

    def context(self):
        result = Context()
        _span_context(byref(self._span), byref(result))
        return result

    def set(self, key, value):
        alive = []
        _span_set(byref(self._span), _name(key), byref(_value(value, alive)))

    def event(self, name, attributes=None):
        alive = []
        _span_event(byref(self._span), _name(name), _attributes(attributes or {}, alive), len(attributes or {}), Time())

    def status(self, status, message=""):
        data = message.encode(errors="replace")
        _span_status(byref(self._span), status, data, len(data))

    def exception(self, error):
        _span_exception(byref(self._span), _text(type(error).__qualname__), _text(str(error)), _text(""), None, 0)
        self.status(STATUS_ERROR, str(error))

    def finish(self):
        _span_finish(byref(self._span))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            self.exception(error)
        self.finish()


def span(name, attributes=None, kind=INTERNAL, parent=None):
    """`parent`: a W3C traceparent that came with a request; else the current span."""
    return Span(name, attributes, kind, parent)


def log(severity, template, *arguments):
    """The agent formats: "paid {} for {}". Carries the current span's ids."""
    alive = []
    _log_template(severity, _name(template), (Value * len(arguments))(*(_value(a, alive) for a in arguments)), len(arguments))


def info(template, *arguments):
    log(INFO, template, *arguments)


def warn(template, *arguments):
    log(WARN, template, *arguments)


def error(template, *arguments):
    log(ERROR, template, *arguments)


class Instrument:
    def __init__(self, kind, name, number, unit, description):
        options = _InstrumentOptions(size=sizeof(_InstrumentOptions), kind=kind, number=number, unit=_text(unit),
                                     description=_text(description))
        self._instrument = _instrument_get(_text(name), byref(options))

    def measure(self, value, attributes=None):
        alive = []
        measure = _measure_int if isinstance(value, int) else _measure_double
        measure(self._instrument, value, _attributes(attributes or {}, alive), len(attributes or {}))

    add = record = set = measure


def counter(name, unit="", description="", number=int):
    return Instrument(1, name, 0 if number is int else 1, unit, description)


def gauge(name, unit="", description="", number=float):
    return Instrument(3, name, 0 if number is int else 1, unit, description)


def histogram(name, unit="", description="", number=float):
    return Instrument(4, name, 0 if number is int else 1, unit, description)
