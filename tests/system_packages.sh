#!/bin/sh
# What `make test` needs besides Python: a C compiler (the stand-in for NVIDIA's library), Chromium and curl.
# As root on Debian and its kin they are installed; elsewhere this says what is missing and how to get it.
set -eu

missing=""
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    missing="$missing chromium fonts-dejavu-core"
command -v curl >/dev/null || missing="$missing curl"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  a list of packages
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "The tests need these packages:$missing" >&2
    echo "On Debian or Ubuntu: sudo apt-get install$missing" >&2
    exit 1
fi
