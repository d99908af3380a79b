#!/usr/bin/python3
"""Throughput of PyTorch's training step (or, with --mode infer, of its forward pass); prints one JSON line.

  bench_train.py --model alexnet --threads 2 --batch 32 --seconds 8 --layout nhwc

other_cores tells how many cores other processes used meanwhile."""
import argparse
import json
import statistics
import sys
import time

from tuned import busy, tune

ap = argparse.ArgumentParser()
ap.add_argument("--model", required=True)
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--batch", type=int, default=32)
ap.add_argument("--seconds", type=float, default=8, help="per repetition; each takes one step at least")
ap.add_argument("--reps", type=int, default=3)
ap.add_argument("--mode", default="train", choices=["train", "infer"])
ap.add_argument("--layout", default="nchw", choices=["nchw", "nhwc"])
ap.add_argument("--profile", action="store_true")
a = ap.parse_args()
tune(a.threads)

import torch
from torch import nn

import models

torch.set_flush_denormal(True)
torch.set_num_threads(a.threads)
torch.manual_seed(1)

ctor, shape = models.MODELS[a.model]
net = models.init_xavier(ctor())
params, forward_macs, train_macs = models.count(net, shape)
x = torch.randn(a.batch, *shape)
y = torch.randint(0, 10, (a.batch,))
if a.layout == "nhwc":
    net = net.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
loss = nn.CrossEntropyLoss()
sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0)


def infer():
    with torch.inference_mode():
        return net(x)


def train():
    sgd.zero_grad(set_to_none=True)
    loss(net(x), y).backward()
    sgd.step()


net.train(a.mode == "train")
step = train if a.mode == "train" else infer

begin = time.perf_counter()
step()
first, begin = time.perf_counter() - begin, time.perf_counter()
for _ in range(3):  # warm up
    if first > 4 or time.perf_counter() - begin > 2:
        break
    step()
if a.profile:
    with torch.profiler.profile() as prof:
        for _ in range(3):
            step()
    print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=18), file=sys.stderr)

rates, other = [], []
for _ in range(a.reps):
    machine, own, n, begin = busy(), time.process_time(), 0, time.perf_counter()
    while n == 0 or time.perf_counter() - begin < a.seconds:
        step()
        n += 1
    took = time.perf_counter() - begin
    rates.append(n * a.batch / took)
    other.append(round(max(0, busy() - machine - (time.process_time() - own)) / took, 3))

median = statistics.median(rates)
flops = 2 * (train_macs if a.mode == "train" else forward_macs)
print(json.dumps({
    "model": a.model, "mode": a.mode, "threads": a.threads, "batch": a.batch, "layout": a.layout,
    "torch": torch.__version__, "images_per_second": round(median, 3), "all": [round(r, 3) for r in rates],
    "min": round(min(rates), 3), "max": round(max(rates), 3), "ms": round(1000 * a.batch / median, 3),
    "gflops": round(flops * median / 1e9, 2), "other_cores": other, "params": params,
    "forward_macs": forward_macs, "train_macs": train_macs,
}))
