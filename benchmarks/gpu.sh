#!/bin/sh
# PyTorch on a GPU, in at most eight minutes, as one JSON: sh benchmarks/gpu.sh [DEVICE] [FILE]
#
# The derived proof, a trajectory of training steps, the exact proof if this version has one, and
# throughput. It needs Python with torch, numpy, safetensors, typer and rich, and nothing installed
# of this project. It never ran on a GPU: it was tried with the device cpu.
set -eu
device=${1:-cuda:0}
file=${2:-${OUT:-.}/gpu.json}
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
exec timeout 480 "$python" "$root/benchmarks/gpu.py" "$device" "$file"
