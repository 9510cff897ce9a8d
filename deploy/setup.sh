#!/bin/sh
# Prepares this folder: finds Python 3.11, then lets deploy/install.py do the rest. A finished set-up returns at once.
set -eu
cd "$(dirname "$0")/.."
find_python() {
    for name in "${PYTHON:-}" python3.11 python3 python; do
        [ -n "$name" ] || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}
if ! python=$(find_python); then
    found=$(python3 --version 2>/dev/null || echo "no Python")
    echo "setup: Python 3.11 is needed and $found was found. Install it (Debian 12: apt install python3.11 python3.11-venv;" \
        "Fedora: dnf install python3.11; macOS: brew install python@3.11) or say where it is: PYTHON=/path/to/python3.11 make setup" >&2
    exit 2
fi
exec "$python" deploy/install.py "$@"
