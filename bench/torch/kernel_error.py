#!/usr/bin/python3
"""Rounding error of the kernels and of PyTorch, against float64, on the same data; JSON lines.

  kernel_error.py DIR --threads T

DIR holds cases that `go run ./bench/compare error DIR` has written: NAME.json with the geometry and the shapes of
the arrays, and NAME.ARRAY.f32 with each array. The error is relative: the root of the mean square of the difference
over that of the float64 result."""
import argparse
import glob
import json
import os

from tuned import tune

ap = argparse.ArgumentParser()
ap.add_argument("dir")
ap.add_argument("--threads", type=int, default=1)
a = ap.parse_args()
tune(a.threads)

import numpy as np
import torch

torch.set_num_threads(a.threads)
torch.set_grad_enabled(False)
DIRECTIONS = ["forward", "backward_data", "backward_weights"]


def compute(case, x, w, gy, layout=torch.contiguous_format):
    """The three directions as PyTorch computes them in the type of the arguments."""
    if "fully_connected" in case:
        return [x.mm(w.t()), gy.mm(w), gy.t().mm(x)]
    s = case["convolution"]
    x, w, gy = (t.contiguous(memory_format=layout) for t in (x, w, gy))
    stride, pad = [s["StrideH"], s["StrideW"]], [s["PadH"], s["PadW"]]
    gx, gw, _ = torch.ops.aten.convolution_backward(
        gy, x, w, [s["O"]], stride, pad, [1, 1], False, [0, 0], 1, [True, True, False])
    return [torch.conv2d(x, w, None, stride, pad), gx, gw]


def read(prefix, case, name):
    """One array; feature maps lie in the file as NHWC."""
    shape = case["shapes"][name.split(".")[-1]]
    v = torch.from_numpy(np.fromfile(f"{prefix}.{name}.f32", np.float32).reshape(shape))
    maps = "convolution" in case and not name.endswith("w")
    return v.permute(0, 3, 1, 2).contiguous() if maps else v


def error(got, want):
    return ((got.double() - want).square().mean() / want.square().mean()).sqrt().item()


for path in sorted(glob.glob(os.path.join(a.dir, "*.json"))):
    case = json.load(open(path))
    load = lambda name: read(path[: -len(".json")], case, name)
    inputs = load("x"), load("w"), load("gy")
    want = compute(case, *(t.double() for t in inputs))
    layouts = {"nchw": torch.contiguous_format}
    if "convolution" in case:
        layouts["nhwc"] = torch.channels_last
    torch_errors = {
        name: dict(zip(DIRECTIONS, map(error, compute(case, *inputs, layout), want))) for name, layout in layouts.items()
    }
    for algorithm in case["algorithms"]:
        got = [load(f"{algorithm['file']}.{name}") for name in ("y", "gx", "gw")]
        print(json.dumps({
            "case": case["name"], "shape": case["shape"], "algorithm": algorithm["name"],
            "ours": dict(zip(DIRECTIONS, map(error, got, want))), "torch": torch_errors,
        }), flush=True)
