#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records a request: spans with attributes, a log, a counter and a histogram. Prints what was written."""
import time

import tailrace

requests = tailrace.counter("requests", unit="{request}")
duration = tailrace.histogram("http.server.request.duration", unit="s")


def query(client):
    with tailrace.span("SELECT orders", {"db.system.name": "postgresql", "client": client}, kind=tailrace.CLIENT) as span:
        span.event("first row", {"index": 0})
        span.set("db.response.returned_rows", 3)


def handle(traceparent, client):
    begun = time.monotonic()
    with tailrace.span("GET /orders", {"http.request.method": "GET"}, kind=tailrace.SERVER, parent=traceparent) as span:
        query(client)
        span.set("orders", [{"id": 17, "total": 9.5}, {"id": 18, "total": 0.25}])
        span.set("http.response.status_code", 200)
        tailrace.info("{} orders for {}", 2, client)
        requests.add(1, {"http.request.method": "GET"})
    duration.record(time.monotonic() - begun)


tailrace.init("orders-python", version="1.0")
tailrace.attach_thread("main")
handle("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Ada")
try:
    with tailrace.span("GET /broken"):
        raise ValueError("no such order")
except ValueError as error:
    tailrace.error("refused: {}", str(error))
stats = tailrace.stats()
print(f"{stats.written[0]} spans, {stats.written[1]} logs, {stats.series} series written, {stats.bad_input} calls were wrong")
