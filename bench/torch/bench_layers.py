#!/usr/bin/python3
"""Time of each convolution and fully connected layer in PyTorch, in three directions; JSON lines.

  coordinator bench kernels --model alexnet -o json > layers.json
  bench_layers.py --layers layers.json --threads 2 --layout nhwc

The layers are those of layers.json, in the same order. Forward is with bias; backward_weights gives the gradients
of weights and bias. The tensors are ordinary ones, as PyTorch's own networks have them: its reorders to and from
oneDNN's blocked formats count."""
import argparse
import json
import statistics
import time

from tuned import busy, tune

ap = argparse.ArgumentParser()
ap.add_argument("--layers", required=True, help="what `coordinator bench kernels -o json` printed")
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--layout", default="nchw", choices=["nchw", "nhwc"])
ap.add_argument("--seconds", type=float, default=0.25, help="of each direction of each layer")
a = ap.parse_args()
tune(a.threads)

import torch
from torch import nn
from torch.nn import functional as F

torch.set_flush_denormal(True)
torch.set_num_threads(a.threads)
torch.manual_seed(0)
torch.set_grad_enabled(False)


def measure(f):
    """Milliseconds a call: median, least and greatest of five measurements, or of three where a call is long."""
    begin = time.perf_counter()
    f()
    measurements = 3 if time.perf_counter() - begin > a.seconds else 5
    if measurements == 5:
        f()
    ms = []
    for _ in range(measurements):
        n, begin = 0, time.perf_counter()
        while n == 0 or time.perf_counter() - begin < a.seconds / measurements:
            f()
            n += 1
        ms.append(1000 * (time.perf_counter() - begin) / n)
    return {"ms": statistics.median(ms), "min_ms": min(ms), "max_ms": max(ms)}


def convolution(n, s):
    layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    stride, pad, groups = [s["StrideH"], s["StrideW"]], [s["PadH"], s["PadW"]], s.get("Groups", 1)
    x = torch.relu(torch.randn(n, s["C"], s["H"], s["W"])).contiguous(memory_format=layout)
    w = torch.randn(s["O"], s["C"] // groups, s["KH"], s["KW"]).contiguous(memory_format=layout)
    b = torch.randn(s["O"])
    gy = torch.randn_like(torch.conv2d(x, w, b, stride, pad, 1, groups))

    def backward(*mask):
        return torch.ops.aten.convolution_backward(
            gy, x, w, [s["O"]], stride, pad, [1, 1], False, [0, 0], groups, mask)

    return {
        "forward": lambda: torch.conv2d(x, w, b, stride, pad, 1, groups),
        "backward_data": lambda: backward(True, False, False),
        "backward_weights": lambda: backward(False, True, True),
    }


def fully_connected(n, s):
    x, w, b = torch.relu(torch.randn(n, s["I"])), torch.randn(s["O"], s["I"]), torch.randn(s["O"])
    gy = torch.randn(n, s["O"])
    return {
        "forward": lambda: F.linear(x, w, b),
        "backward_data": lambda: gy.mm(w),
        "backward_weights": lambda: (gy.t().mm(x), gy.sum(0)),
    }


def run(n, stages):
    """Convolutions, each with its activation and pooling: both gradients at once, as autograd gives them."""
    layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    layers = []
    for s in stages:
        c = s["Conv"]
        layers.append(nn.Conv2d(c["C"], c["O"], (c["KH"], c["KW"]), (c["StrideH"], c["StrideW"]), (c["PadH"], c["PadW"])))
        layers += [[], [nn.ReLU()], [nn.Sigmoid()], [nn.Tanh()]][s["Activation"]]
        layers += [[], [nn.MaxPool2d(2, 2)], [nn.AvgPool2d(2, 2)]][s["Pooling"]]
    net = nn.Sequential(*layers).to(memory_format=layout)
    c = stages[0]["Conv"]
    x = torch.randn(n, c["C"], c["H"], c["W"]).contiguous(memory_format=layout)
    with torch.enable_grad():
        y = net(x)
    gy, parameters = torch.randn_like(y), list(net.parameters())
    return {
        "forward": lambda: net(x),
        "backward_weights": lambda: torch.autograd.grad(y, parameters, gy, retain_graph=True),
    }


for layer in json.load(open(a.layers))["layers"]:
    n = layer["batch"]
    if "convolution" in layer:
        calls = convolution(n, layer["convolution"])
    elif "stages" in layer:
        calls = run(n, layer["stages"])
    else:
        calls = fully_connected(n, layer["fully_connected"])
    machine, own, begin = busy(), time.process_time(), time.perf_counter()
    result = {"model": layer["model"], "layer": layer["layer"], "batch": n, "layout": a.layout}
    result.update({name: measure(f) for name, f in calls.items()})
    took = time.perf_counter() - begin
    result["other_cores"] = round(max(0, busy() - machine - (time.process_time() - own)) / took, 3)
    print(json.dumps(result), flush=True)
