#!/usr/bin/python3
"""Trains the network of a job as Convoy trains it: the same parameters to begin with, photographs, order and
settings. Prints one JSON object; progress goes to stderr.

  train_job.py --plan DIR --data-dir PHOTOGRAPHS --threads 2

DIR is what `go run ./bench/accuracy` exported. PHOTOGRAPHS holds train/CLASS/FILE and test/CLASS/FILE."""
import argparse
import json
import os
import sys
import time

from tuned import tune

ap = argparse.ArgumentParser()
ap.add_argument("--plan", required=True)
ap.add_argument("--data-dir", required=True)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--layout", default="nhwc", choices=["nchw", "nhwc"])
ap.add_argument("--pillow-chroma", action="store_true", help="take photographs as Pillow reads them by itself")
a = ap.parse_args()
tune(a.threads)

import numpy as np
import PIL
import torch
from PIL import Image, JpegImagePlugin
from torch import nn

torch.set_num_threads(a.threads)
torch.set_flush_denormal(True)
layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
with open(f"{a.plan}/plan.json") as f:
    plan = json.load(f)
recipe = plan["recipe"]


def photograph(path):
    """The pixels of a file. Where a JPEG has half the samples of colour each way, Pillow smooths them and cannot be
    told not to; Go repeats them. At half the size libjpeg hands them out as they are: what is left are the two
    roundings of the cosine transform."""
    image = Image.open(path)
    if a.pillow_chroma or image.format != "JPEG" or image.mode != "RGB" or JpegImagePlugin.get_sampling(image) != 2:
        return np.asarray(image)
    width, height = image.size
    image.draft("YCbCr", image.size)
    luma = np.asarray(image)[..., 0].astype(np.int32) * 0x10101
    image = Image.open(path)
    image.draft("YCbCr", (width // 2, height // 2))
    colour = np.asarray(image)[..., 1:].astype(np.int32) - 128
    colour = colour.repeat(2, 0).repeat(2, 1)[:height, :width]
    cb, cr = colour[..., 0], colour[..., 1]
    rgb = luma + 91881 * cr, luma - 22554 * cb - 46802 * cr, luma + 116130 * cb  # image/color's YCbCrToRGB
    return np.stack([np.clip(v >> 16, 0, 255) for v in rgb], -1).astype(np.uint8)


def photographs(split):
    """All photographs of a split, channels first, and their labels: classes and files in bytewise order. They are
    kept beside DIR for the next job on them."""
    kept = f"{os.path.normpath(a.plan)}/../{split}-{recipe['data']['manifest'][:16]}{'-pillow' * a.pillow_chroma}.npz"
    if os.path.exists(kept):
        with np.load(kept) as f:
            return f["pixels"], torch.from_numpy(f["labels"])
    pixels, labels = [], []
    for label, name in enumerate(plan["classes"]):
        folder = os.path.join(a.data_dir, split, name)
        for file in sorted(f for f in os.listdir(os.fsencode(folder)) if not f.startswith(b".")):
            v = photograph(os.path.join(folder, os.fsdecode(file)))
            pixels.append(v.reshape(v.shape[0], v.shape[1], -1).transpose(2, 0, 1))
            labels.append(label)
    pixels, labels = np.stack(pixels), np.array(labels)
    with open(kept + ".tmp", "wb") as f:
        np.savez(f, pixels=pixels, labels=labels)
    os.replace(kept + ".tmp", kept)
    return pixels, torch.from_numpy(labels)


def difference(pixels):
    """How the test photographs differ from those that Convoy decoded."""
    d = np.abs(pixels.astype(np.int16).ravel() - np.fromfile(f"{a.plan}/test.u8", np.uint8))
    return {"values": d.size, "different": int((d > 0).sum()), "greatest": int(d.max())}


def inputs(pixels):
    mean, deviation = (np.array(plan[k])[:, None, None] for k in ("mean", "deviation"))
    parts = [((p / 255 - mean) / deviation).astype(np.float32) for p in np.array_split(pixels, 50)]
    return torch.from_numpy(np.concatenate(parts)).contiguous(memory_format=layout)


class GlobalAveragePool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        for i, b in enumerate(branches):
            self.add_module(str(i), nn.Sequential(*b))

    def forward(self, x):
        return torch.cat([b(x) for b in self.children()], 1)


def inception(n, l):
    def conv(n, out, kernel):
        return [nn.Conv2d(n, out, kernel, padding=kernel // 2), nn.ReLU()]

    return Branches(
        conv(n, l["1x1"], 1),
        conv(n, l["3x3_reduce"], 1) + conv(l["3x3_reduce"], l["3x3"], 3),
        conv(n, l["5x5_reduce"], 1) + conv(l["5x5_reduce"], l["5x5"], 5),
        [nn.MaxPool2d(3, 1, 1)] + conv(n, l["pool_proj"], 1))


def layer(l, n):
    """The layer of a line of the list, for an input of n channels."""
    kernel, stride, padding = l.get("kernel"), l.get("stride"), l.get("padding", 0)
    kind = l["type"]
    if kind == "conv" and "table" not in l:
        return nn.Conv2d(n, l["out"], kernel, stride, padding, groups=l.get("groups", 1))
    if kind == "lrn":
        return nn.LocalResponseNorm(l["size"], l.get("alpha", 0), l.get("beta", 0), l["k"])
    make = {
        "linear": lambda: nn.Linear(n, l["out"]), "inception": lambda: inception(n, l),
        "maxpool": lambda: nn.MaxPool2d(kernel, stride, padding), "avgpool": lambda: nn.AvgPool2d(kernel, stride, padding),
        "gap": GlobalAveragePool, "flatten": nn.Flatten, "dropout": lambda: nn.Dropout(l.get("rate", 0)),
        "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
    }.get(kind)
    if make is None:
        sys.exit(f"train_job.py: PyTorch's networks here have no layer {json.dumps(l)}")
    return make()


def network():
    d = recipe["data"]
    x, layers = torch.zeros(1, d["channels"], d["height"], d["width"]), []
    for l in recipe["layers"]:
        layers.append(layer(l, x.shape[1]))
        with torch.no_grad():
            x = layers[-1](x)
    return nn.Sequential(*layers)


def tensors(path):
    """The float32 tensors of a safetensors file."""
    with open(path, "rb") as f:
        head = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        body = np.frombuffer(f.read(), np.float32)
    named = {}
    for name, t in head.items():
        if name != "__metadata__" and not name.startswith("optimizer."):
            low, high = (v // 4 for v in t["data_offsets"])
            named[name] = torch.tensor(body[low:high].reshape(t["shape"]))
    return named


def groups(net, o):
    decay, rest = [], []
    for p in net.parameters():
        (decay if o["decay_biases"] or p.dim() > 1 else rest).append(p)
    return [{"params": decay}, {"params": rest, "weight_decay": 0}] if rest else decay


def evaluate(net, x, y):
    loss, correct = 0.0, 0
    with torch.inference_mode():
        for i in range(0, len(x), 1000):
            out = net(x[i : i + 1000])
            loss += nn.functional.cross_entropy(out, y[i : i + 1000], reduction="sum").item()
            correct += int((out.argmax(1) == y[i : i + 1000]).sum())
    return loss / len(x), correct / len(x)


pixels, y = photographs("train")
x = inputs(pixels)
pixels, test_y = photographs("test")
test_x, pixel_difference = inputs(pixels), difference(pixels)

net = network()
net.load_state_dict(tensors(f"{a.plan}/initial.safetensors"))
net = net.to(memory_format=layout)
o = recipe["optimizer"]
sgd = torch.optim.SGD(groups(net, o), lr=plan["lr"][0], momentum=o["momentum"], nesterov=o["nesterov"], weight_decay=o["weight_decay"])
order = torch.from_numpy(np.fromfile(f"{a.plan}/order.i32", "<i4").astype(np.int64).reshape(recipe["epochs"], len(x)))
losses, epochs = [], []
for epoch in range(recipe["epochs"]):
    net.train()
    begin, total = time.perf_counter(), 0.0
    for i in range(0, len(x), recipe["batch"]):
        j = order[epoch, i : i + recipe["batch"]]
        for g in sgd.param_groups:
            g["lr"] = plan["lr"][len(losses)]
        sgd.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(net(x[j]), y[j])
        loss.backward()
        if o["clip_norm"] > 0:
            nn.utils.clip_grad_norm_(net.parameters(), o["clip_norm"])
        sgd.step()
        losses.append(loss.item())
        total += losses[-1] * len(j)
    seconds = time.perf_counter() - begin
    net.eval()
    test_loss, accuracy = evaluate(net, test_x, test_y)
    epochs.append({"train_loss": total / len(x), "test_loss": test_loss, "test_accuracy": accuracy, "seconds": round(seconds, 2)})
    print(f"epoch {epoch + 1}: {json.dumps(epochs[-1])}", file=sys.stderr, flush=True)

print(json.dumps({"torch": torch.__version__, "pillow": PIL.__version__, "pixels": pixel_difference, "losses": losses, "epochs": epochs}))
