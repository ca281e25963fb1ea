#!/bin/sh
# Installs into /opt/bandwatch: `install.sh dependencies --compile`, then `install.sh program --compile`, or both with
# --no-compile, which makes no bytecode. Runs in the build stage only.
set -eu
what=$1
bytecode=$2
pip() { python3 "$(echo /build/pip-*.whl)/pip" --python /opt/bandwatch/bin/python "$@"; }
if [ "$what" = program ]; then
    pip install --no-index --no-deps "$bytecode" --no-cache-dir /build/program/*.whl
    pip check
    exit
fi
python3 -m venv --without-pip /opt/bandwatch
pip install --no-index --no-deps "$bytecode" --no-cache-dir /build/wheels/*.whl
cd /opt/bandwatch/lib/python3*/site-packages
# What no program of ours reads: tests of libraries, onnxruntime's tools and its library for C, which Python's module
# holds a second time, and zstandard's backend for other Pythons.
find . -type d -name tests -prune -exec rm -rf {} +
rm -rf onnxruntime/quantization onnxruntime/tools onnxruntime/transformers
rm -f onnxruntime/capi/libonnxruntime.so.* zstandard/_cffi*
