#!/bin/sh
# triton_cc.sh SOURCE ... -o OUTPUT ...: stands in for the C compiler (CC) in an image without one. Before it first
# launches a kernel, Triton compiles a single file, its driver.c; this script returns the library that --prepare built.
#
#   triton_cc.sh --prepare    builds it; needs gcc, and the headers and packages of `python`
set -eu
driver=${0%/*}/../lib/triton-driver

if [ "$1" = --prepare ]; then
  nvidia=$(python -c 'import triton.backends.nvidia as package; print(*package.__path__)')
  headers=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
  # Link against an empty libcuda: the GPU driver provides the real one when a container starts.
  folder=$(mktemp -d)
  gcc -shared -Wl,-soname,libcuda.so.1 -o "$folder/libcuda.so.1" -x c /dev/null
  gcc -O3 -shared -fPIC -Wno-psabi "-I$nvidia/include" "-I$headers" -o "$driver.so" "$nvidia/driver.c" \
    -Wl,--no-as-needed "-L$folder" -l:libcuda.so.1
  cp "$nvidia/driver.c" "$driver.c"
  rm -r "$folder"
  exit
fi

source=$1
while [ $# -gt 1 ] && [ "$1" != -o ]; do shift; done
cmp -s "$source" "$driver.c" || {
  echo "error: no C compiler here, and $source is not the driver.c that was compiled ahead; install gcc and unset CC" >&2
  exit 2
}
exec cp "$driver.so" "$2"
