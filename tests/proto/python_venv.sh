#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of a Python that has OpenTelemetry's own package of the protocol, making it first
# if need be: a virtual environment under the cache directory, never in the repository.
# Needs python3 and python3-venv; the first call needs PyPI or a mirror of it.
# The name holds the versions, so that raising one makes a new environment. Protobuf is named beside
# the package because generated code and run-time library must fit: a library older than the code
# refuses it at import.
set -eu

package=opentelemetry-proto==1.45.2
runtime=protobuf==7.36.2

cache=${TAILRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace}
home=$cache/python-$package-$runtime
if [ ! -e "$home/ready" ]; then
  mkdir -p "$cache"
  # Made in its final place (scripts in it hold its path), by one caller at a time.
  exec 9>"$cache/python.lock"
  flock 9
  if [ ! -e "$home/ready" ]; then
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --disable-pip-version-check "$package" "$runtime" >&2
    touch "$home/ready"
  fi
fi
echo "$home/bin/python"
