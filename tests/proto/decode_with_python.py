#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads an export request with OpenTelemetry's own Python package of the protocol.

A second decoder, independent of our definitions and of the C++ library. Prints the request as one
line of OTLP/JSON with sorted keys: ids in hexadecimal, enums as numbers, 64-bit integers as strings,
defaults left out. Fails if the request holds a field that the package does not know.

    $(tests/proto/python_venv.sh) tests/proto/decode_with_python.py traces request.bin

The package's generated code asks at import for a Protobuf run-time library at least as new as the
compiler that made it; python_venv.sh installs two that fit. Debian's python3-protobuf is too old.
"""

import argparse
import base64
import importlib
import json
import sys

REQUESTS = {
    "traces": ("trace.v1.trace_service_pb2", "ExportTraceServiceRequest"),
    "logs": ("logs.v1.logs_service_pb2", "ExportLogsServiceRequest"),
    "metrics": ("metrics.v1.metrics_service_pb2", "ExportMetricsServiceRequest"),
}
IDS = {"traceId", "spanId", "parentSpanId"}


def new_request(signal):
    module, name = REQUESTS[signal]
    return getattr(importlib.import_module("opentelemetry.proto.collector." + module), name)()


def unknown_field(message, path=""):
    """The path of the first field without a definition, or None."""
    from google.protobuf import unknown_fields

    for field in unknown_fields.UnknownFieldSet(message):
        return f"{path}.{field.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        # Whatever is not one message is a sequence of them; the protocol has no map fields.
        parts = [value] if hasattr(value, "ListFields") else value
        for index, part in enumerate(parts):
            found = unknown_field(part, f"{path}.{field.name}[{index}]")
            if found:
                return found
    return None


def with_hex_ids(node):
    if isinstance(node, dict):
        return {
            key: base64.b64decode(value).hex()
            if key in IDS and isinstance(value, str)
            else with_hex_ids(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [with_hex_ids(item) for item in node]
    return node


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signal", choices=sorted(REQUESTS))
    parser.add_argument("request", help="file with a serialized export request")
    parser.add_argument("--reserialized", metavar="FILE", help="write the request as the package serializes it")
    arguments = parser.parse_args()

    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    request = new_request(arguments.signal)
    with open(arguments.request, "rb") as file:
        try:
            request.ParseFromString(file.read())
        except DecodeError as error:
            sys.exit(f"{arguments.request}: not a request for {arguments.signal}: {error}")
    unknown = unknown_field(request)
    if unknown:
        sys.exit(f"{arguments.request}: field {unknown[1:]} is not of the protocol")
    if arguments.reserialized:
        with open(arguments.reserialized, "wb") as file:
            file.write(request.SerializeToString(deterministic=True))
    tree = json_format.MessageToDict(request, use_integers_for_enums=True)
    print(json.dumps(with_hex_ids(tree), sort_keys=True, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
