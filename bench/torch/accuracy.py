#!/usr/bin/python3
"""Test accuracy and seconds by epoch on real data; JSON lines.

  accuracy.py --data-dir DIR --data mnist --act relu --pool max --lr 0.1 --epochs 10

DIR holds mnist/ with the four gzipped IDX files, or cifar-10-batches-bin/."""
import argparse
import gzip
import json
import time

from tuned import tune

ap = argparse.ArgumentParser()
ap.add_argument("--data-dir", required=True)
ap.add_argument("--data", default="mnist", choices=["mnist", "cifar10"])
ap.add_argument("--model", default="lenet", choices=["lenet", "vgg"])
ap.add_argument("--act", default="sigmoid")
ap.add_argument("--pool", default="avg")
ap.add_argument("--lr", type=float, default=0.9)
ap.add_argument("--momentum", type=float, default=0)
ap.add_argument("--batch", type=int, default=256)
ap.add_argument("--epochs", type=int, default=10)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--seed", type=int, default=0)
ap.add_argument("--layout", default="nhwc", choices=["nchw", "nhwc"])
a = ap.parse_args()
tune(a.threads)

import numpy as np
import torch
from torch import nn

import models

torch.set_num_threads(a.threads)
torch.set_flush_denormal(True)
torch.manual_seed(a.seed)


def mnist(name, offset):
    with gzip.open(f"{a.data_dir}/mnist/{name}.gz") as f:
        return np.frombuffer(f.read(), np.uint8, offset=offset)


def cifar(*names):
    files = [np.fromfile(f"{a.data_dir}/cifar-10-batches-bin/{n}.bin", np.uint8) for n in names]
    v = np.concatenate(files).reshape(-1, 3073)
    return v[:, 1:].reshape(-1, 3, 32, 32), v[:, 0]


if a.data == "mnist":
    train = mnist("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28), mnist("train-labels-idx1-ubyte", 8)
    test = mnist("t10k-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28), mnist("t10k-labels-idx1-ubyte", 8)
    mean, deviation = np.float32(0), np.float32(1)
else:
    train, test = cifar(*(f"data_batch_{i}" for i in range(1, 6))), cifar("test_batch")
    mean = np.array([0.4914, 0.4822, 0.4465], np.float32)[:, None, None]
    deviation = np.array([0.2470, 0.2435, 0.2616], np.float32)[:, None, None]

layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format


def tensors(images, labels):
    x = torch.from_numpy((images.astype(np.float32) / 255 - mean) / deviation)
    return x.contiguous(memory_format=layout), torch.from_numpy(labels.astype(np.int64))


(x, y), (test_x, test_y) = tensors(*train), tensors(*test)
if a.model == "lenet":
    net = models.lenet(x.shape[1], 10, x.shape[2], a.act, a.pool)
else:
    net = models.vgg(((1, 32), (1, 64), (2, 128)), x.shape[1], 10, x.shape[2], 128, 0.0)
net = models.init_xavier(net).to(memory_format=layout)
sgd = torch.optim.SGD(net.parameters(), lr=a.lr, momentum=a.momentum)
loss = nn.CrossEntropyLoss()

for epoch in range(1, a.epochs + 1):
    net.train()
    begin, total = time.perf_counter(), 0.0
    order = torch.randperm(len(x))
    for i in range(0, len(x), a.batch):
        j = order[i : i + a.batch]
        sgd.zero_grad(set_to_none=True)
        l = loss(net(x[j]), y[j])
        l.backward()
        sgd.step()
        total += l.item() * len(j)
    trained = time.perf_counter()
    net.eval()
    with torch.inference_mode():
        correct = sum(
            int((net(test_x[i : i + 1000]).argmax(1) == test_y[i : i + 1000]).sum()) for i in range(0, len(test_x), 1000)
        )
    print(json.dumps({
        "epoch": epoch, "test_accuracy": correct / len(test_x), "train_loss": round(total / len(x), 4),
        "train_seconds": round(trained - begin, 2), "images_per_second": round(len(x) / (trained - begin)),
    }), flush=True)
