#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deliver.py PROGRAM STRANGER: runs STRANGER beside `PROGRAM agent --viewer` and waits for the ledger.

Passes when `PROGRAM status --json` says that every span and log of the service "stranger" was delivered,
at least one of each, and nothing dropped. Ends with 77 where it cannot run, and ends what it started.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60


def ledger_of(program, environment, service):
    """The service's ledger, or None while there is none; and what `status` said."""
    answer = subprocess.run([program, "status", "--json"], env=environment, capture_output=True,
                            text=True, timeout=20)
    if answer.returncode != 0:
        return None, answer.stderr.strip() or answer.stdout.strip()
    try:
        services = json.loads(answer.stdout)["services"]
    except (ValueError, KeyError) as error:
        return None, f"status --json is not what it should be: {error!r}: {answer.stdout[:400]}"
    for entry in services:
        if entry["service"] == service:
            return entry["ledger"], answer.stdout.strip()
    return None, answer.stdout.strip()


def settled(ledger):
    return all(ledger[signal_]["written"] >= 1
               and ledger[signal_]["delivered"] == ledger[signal_]["written"]
               and ledger[signal_]["pending"] == 0 for signal_ in ("traces", "logs"))


def main():
    program, stranger = sys.argv[1:3]
    if not os.access(program, os.X_OK):
        print(f"package: skipped: there is no program {program}")
        return 77
    directory = tempfile.mkdtemp(prefix="tailrace-package-", dir="/dev/shm")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("OTEL_", "TAILRACE_"))}
    environment["TAILRACE_DIR"] = directory
    agent = subprocess.Popen([program, "agent", "--viewer", "--viewer-http-port", "0"], env=environment,
                             stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_S
        # The first may come before the agent is ready; its span must arrive all the same.
        subprocess.run([stranger], env=environment, check=True, timeout=20)
        said = "nothing"
        while time.monotonic() < deadline:
            if agent.poll() is not None:
                print(f"package: the agent ended with {agent.returncode}")
                return 1
            ledger, said = ledger_of(program, environment, "stranger")
            if ledger and settled(ledger):
                print(f"package: delivered: {json.dumps(ledger)}")
                return 0
            time.sleep(0.1)
        print(f"package: not delivered within {DEADLINE_S} s; status said: {said}")
        return 1
    finally:
        agent.send_signal(signal.SIGTERM)
        try:
            agent.wait(timeout=20)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
