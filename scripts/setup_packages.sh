#!/bin/sh
# Make the virtual environment $VENV with $PYTHON and install the pinned packages. `make setup` calls it.
# An environment that is there and works is kept; what is installed already is not fetched again.
set -eu

stop() {
    echo "set-up stopped: $1" >&2
    shift
    for line in "$@"; do echo "  $line" >&2; done
    exit 1
}

[ "$(uname -s)-$(uname -m)" = "Linux-x86_64" ] || stop \
    "the ROS 2 wheels exist for x86-64 Linux only, this is $(uname -s) on $(uname -m)." \
    "On other machines install ROS 2 and build with colcon: README.md, 'On a robot'."

python=$VENV/bin/python
if "$python" -m pip --version >/dev/null 2>&1; then
    PYTHON=$python # keep the environment that is there
fi
[ -n "${PYTHON:-}" ] || stop "no Python 3.11, 3.12 or 3.13 found." \
    "Debian, Ubuntu: apt-get install python3 python3-venv python3-dev" \
    "Or name one: make setup PYTHON=/path/to/python3.12"
"$PYTHON" -c '' 2>/dev/null || stop "$PYTHON does not run."
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || stop \
    "$("$PYTHON" --version) is not supported; 3.11 to 3.13 are." \
    "make distclean setup PYTHON=/path/to/python3.12"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || stop "Python $version has no venv module." \
    "Debian, Ubuntu: apt-get install python$version-venv"
"$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' || stop \
    "the headers of Python $version are missing (Python.h); the messages are compiled against them." \
    "Debian, Ubuntu: apt-get install python$version-dev"
command -v "${CXX:-c++}" >/dev/null 2>&1 && command -v "${CC:-cc}" >/dev/null 2>&1 || stop \
    "no C and C++ compiler found; the messages are compiled." \
    "Debian, Ubuntu: apt-get install build-essential"

if [ "$PYTHON" != "$python" ]; then
    echo "set-up: virtual environment $VENV with Python $version"
    "$PYTHON" -m venv --clear "$VENV"
fi

# pip names itself in INSTALLER after a package's last file. Without it the package was cut off by an interruption, and
# pip would take it for installed.
for info in "$VENV"/lib/python3*/site-packages/*.dist-info; do
    if [ -d "$info" ] && [ ! -e "$info/INSTALLER" ]; then
        echo "set-up: $(basename "$info" .dist-info) was left half installed; installing it again"
        rm -rf "$info"
    fi
done

retry="Nothing is lost: the same command goes on from here once the cause (network, disk space) is gone."
echo "set-up: the pinned packages of constraints.txt (some minutes the first time: torch, OpenCV, ROS 2)"
"$python" -m pip install -qq -c constraints.txt pip setuptools || stop "pip could not install." "$retry"
"$python" -m pip install -qq -c constraints.txt --no-build-isolation \
    -e '.[report,train,pyrender,bags,test,lint,ros,ros-build]' || stop "pip could not install." "$retry"
