#!/bin/bash
# Installs Debian's PyTorch, the OpenBLAS that shares its threads, and Pillow, unless
# they are there. Called by `make bench-torch` and `make accuracy-torch`.
set -euo pipefail

packages=(python3-torch libopenblas0-openmp python3-pil)
dpkg-query --show "${packages[@]}" >/dev/null 2>&1 && exit
if ! command -v apt-get >/dev/null; then
	echo "no apt-get to install ${packages[*]} with: install PyTorch for /usr/bin/python3" >&2
	exit 1
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
"${sudo[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qy --no-install-recommends "${packages[@]}"
