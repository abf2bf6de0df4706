#!/usr/bin/env bash
# Run the tests of kernels, products, vector math, hints and threads as an Arm processor (AArch64) would, under QEMU's
# emulation of single programs. It needs Debian or Ubuntu with the package qemu-user, and a network.
#
#     benchmarks/aarch64.sh [FOLDER [pytest's words ...]]
#
# FOLDER keeps the unpacked system for the next time; the default is a temporary one. An emulated test takes about
# twenty times as long as a real one. Tests that fork are left out: QEMU itself stops in a process that was forked while
# another thread ran.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
shift $(($# > 0))
words=("$@")
if [ $# = 0 ]; then
    words=(tests/test_{kernels,matmul,vectormath,hints,threads,pool}.py -k "not fork")
fi
command -v qemu-aarch64 >/dev/null || { echo "qemu-aarch64 is missing: apt-get install qemu-user"; exit 2; }

if [ ! -x "$folder/python" ]; then
    # An arm64 Python with all that it needs, from Debian's packages, without touching this system's own.
    mkdir -p "$folder"/apt/{state/lists/partial,cache/archives/partial} "$folder/system"
    apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$folder/apt/state"
         -o Dir::Cache="$folder/apt/cache" -o Dir::State::status=/dev/null -o Debug::NoLocking=1)
    "${apt[@]}" update
    "${apt[@]}" install --yes --download-only --no-install-recommends python3 libstdc++6 libgomp1 >/dev/null
    for package in "$folder"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$folder/system"
    done
    version=$(basename "$(readlink -f "$folder/system/usr/bin/python3")")                 # for example python3.11
    packages=$folder/system/usr/lib/python3/dist-packages         # not PYTHONPATH, which some tests set themselves
    mkdir -p "$packages"
    python3 -m pip install --quiet --target "$packages" --platform manylinux_2_28_aarch64 \
        --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 --python-version "${version#python}" \
        --only-binary :all: numpy numba matplotlib pytest hypothesis
    cat >"$folder/python" <<END
#!/bin/sh
exec qemu-aarch64 -L "$folder/system" "$folder/system/usr/bin/$version" "\$@"
END
    chmod +x "$folder/python"
fi
# Tests start further processes with sys.executable, which has to be the emulated one, and import the package from
# everywhere.  Debian has a sitecustomize.py of its own; the lines of a .pth file are read all the same.
printf '%s\n' "import sys; sys.executable = '$folder/python'" "$root" \
    >"$folder/system/usr/lib/python3/dist-packages/emulated.pth"

cd "$root"
export SCRATCHVAE_CACHE=$folder/cache QEMU_CPU=${QEMU_CPU:-neoverse-n1}
"$folder/python" -c "import platform, numba, numpy; from scratchvae.kernels.microkernel import FAMILY; print(
    platform.machine(), 'Python', platform.python_version(), 'NumPy', numpy.__version__, 'Numba', numba.__version__,
    'tile', FAMILY.name)"
"$folder/python" -m pytest -p no:cacheprovider "${words[@]}"
