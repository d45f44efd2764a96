#!/bin/sh
# triton_cc.sh SOURCE ... -o OUTPUT ...: the C compiler (CC) of an image that has none. Triton asks for one before it first
# launches a kernel, to compile a single file, its driver.c; this answers with what --prepare made of that file before.
#
#   triton_cc.sh --prepare    needs gcc, and the headers and packages of `python`
set -eu
driver=${0%/*}/../lib/triton-driver

if [ "$1" = --prepare ]; then
  nvidia=$(python -c 'import triton.backends.nvidia as package; print(*package.__path__)')
  headers=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
  # An empty libcuda: the real one comes with the GPU's driver when a container starts.
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
  echo "error: no C compiler here, and $source is not the file of Triton that was compiled ahead; install gcc, unset CC" >&2
  exit 2
}
exec cp "$driver.so" "$2"
