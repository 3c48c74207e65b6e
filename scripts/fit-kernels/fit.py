"""Fits the kernel constants of Sources/Hardware/KernelConstants+Fitted.swift.

    python3 fit.py REFERENCE_FOLDER [matmul] [attention] [stream]

REFERENCE_FOLDER holds gemm.jsonl, gemm_attention_efficiency.jsonl and operators.jsonl. Few
constants per GPU, least squares on the logarithm of predicted over measured with a soft loss;
prints constants and median and 90th percentile of the absolute relative error by group.
"""

import json
import sys

import numpy as np
from scipy.optimize import least_squares

from kernel_model import GPUS, attention, matmul, stream

FOLDER = sys.argv[1]
WHAT = sys.argv[2:] or ["matmul", "attention", "stream"]


def rows(name):
    with open(f"{FOLDER}/{name}") as lines:
        return [json.loads(line) for line in lines]


def report(label, predicted, measured, mask=None):
    mask = np.ones(len(measured), bool) if mask is None else mask
    if not mask.any():
        return
    ratio = predicted[mask] / measured[mask]
    error = np.abs(ratio - 1)
    print(f"  {label:<46} n={mask.sum():<4} median {np.median(error) * 100:5.1f} %"
          f"  p90 {np.quantile(error, 0.9) * 100:5.1f} %  bias {np.median(ratio) * 100 - 100:+5.1f} %")


def minimise(residual, start, low, high, seeds=6):
    best = None
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        x = np.clip(np.array(start) * (1 + 0.2 * random.standard_normal(len(start))),
                    np.array(low) + 1e-4, np.array(high) - 1e-4)
        found = least_squares(residual, x, bounds=(low, high), loss="soft_l1", f_scale=0.05,
                              diff_step=1e-2)
        if best is None or found.cost < best.cost:
            best = found
    return best.x


# Matrix multiplies --------------------------------------------------------------------------

def matmul_constants(x):
    return dict(efficiency=x[0], prologue=x[1] * 1e-6, wave_tail=x[2], overhead=x[3] * 1e-6,
                operand_cost=x[4], memory_fraction=0.85)


def predict_library(name, kind, data, x):
    """The library timings; those of fp8 include quantising the m x k input from 16 bits."""
    gpu = GPUS[name]
    m, n, k = data[:, 0], data[:, 1], data[:, 2]
    t = matmul(gpu, m, n, k, 1, 1 if kind == "fp8" else 2, 2, False, gpu[kind],
               matmul_constants(x))
    if kind == "fp8":
        t = t + x[6] * 1e-6 + 3 * m * k / (gpu["memory"] * x[5])
    return t


def fit_matmul():
    fitted = {}
    for name, kind in [("A100-SXM4-80GB", "bf16"), ("H100-SXM5-80GB", "bf16"),
                       ("H100-SXM5-80GB", "fp8"), ("B200-SXM", "bf16"), ("B200-SXM", "fp8"),
                       ("GB200", "bf16"), ("GB200", "fp8")]:
        data = np.array([(r["m"], r["n"], r["k"], r["latency_us"] * 1e-6)
                         for r in rows("gemm.jsonl")
                         if r["gpu"] == name and r["precision"] == kind])
        t = data[:, 3]
        training = (data[:, 0] >= 1024) & (t < 3e-3)
        if kind == "bf16":
            start = [0.85, 1.5, 0.6, 2, 10]
            low, high = [0.4, 0.3, 0, 1, 5], [1.1, 8, 1, 4, 40]
            expand = lambda x: x
        else:  # only what differs from bf16: main-loop rate, and the quantising pass
            base = fitted[name, "bf16"]
            start, low, high = [0.75, 0.4, 8], [0.4, 0.1, 0], [1.1, 1, 25]
            expand = lambda x: np.array([x[0], *base[1:5], x[1], x[2]])
        x = expand(minimise(
            lambda x: np.log(predict_library(name, kind, data[training], expand(x))
                             / t[training]), start, low, high))
        fitted[name, kind] = x
        predicted = predict_library(name, kind, data, x)
        print(name, kind, "efficiency, prologue us, wave tail, overhead us, operand cost"
              + (", quantising fraction, quantising us" if kind == "fp8" else ""), np.round(x, 3))
        large = data[:, 0] >= 1024
        report("m >= 1024, under 3 ms (fitted)", predicted, t, training)
        report("m >= 1024, 3-6 ms", predicted, t, large & (t >= 3e-3) & (t < 6e-3))
        report("m >= 1024, 6 ms and longer (power limited)", predicted, t, large & (t >= 6e-3))
        report("m < 1024", predicted, t, ~large)
    validate_matmul(fitted)
    return fitted


def layer_matmuls(name):
    """Matmuls of training layers as SimuMax measured them."""
    found = []
    for r in rows("gemm_attention_efficiency.jsonl"):
        if r.get("gpu") != name:
            continue
        d = r.get("dimensions", {})
        if r["kind"] == "measured_efficiency_matmul":
            shape = [int(d[x]) for x in "bmnk"]
            label = {"TN": "forward", "NN": "input gradient", "NT": "weight gradient"}[d["layout"]]
            out = 4 if d["out_dtype"] == "fp32" else 2
        elif r["kind"] == "measured_efficiency_group_matmul":
            g, tokens, n, k = (int(d[x]) for x in ("ng", "M", "N", "K"))
            label = "grouped " + d["stage"]
            # the weight gradient contracts over the tokens of an expert
            shape = [g, n, k, tokens] if d["stage"] == "bwd_grad_w" else [g, tokens, n, k]
            out = 4 if d["stage"] == "bwd_grad_w" else 2
        else:
            continue
        flops = 2.0 * np.prod([float(s) for s in shape])
        found.append((label, *shape, out, d["accumulate"] == "True",
                      flops / (r["fraction_of_peak"] * r["peak_used_tflops"] * 1e12)))
    return found


def validate_matmul(fitted):
    for name, of in [("B200-SXM", "B200-SXM"), ("A100-PCIe-80GB", "A100-SXM4-80GB")]:
        found = layer_matmuls(name)
        a = np.array([f[1:6] for f in found], float)
        t = np.array([f[7] for f in found])
        predicted = matmul(GPUS[name], a[:, 1], a[:, 2], a[:, 3], a[:, 0], 2, a[:, 4],
                           np.array([f[6] for f in found]), GPUS[name]["bf16"],
                           matmul_constants(fitted[of, "bf16"]))
        print(name, "layers measured by SimuMax, not fitted")
        labels = np.array([f[0] for f in found])
        for label in sorted(set(labels)):
            report(label, predicted, t, labels == label)
    linear = [(i["m"], i["n"], i["k"], r["forward_us"] * 1e-6, r["backward_us"] * 1e-6)
              for r in rows("operators.jsonl")
              if r.get("operator", "").startswith("linear") and (i := r.get("inferred"))
              and r.get("forward_us") and "m" in i]
    a = np.array(linear)
    m, n, k = a[:, 0], a[:, 1], a[:, 2]
    gpu = GPUS["A100-SXM4-80GB"]
    one = lambda m, n, k: matmul(gpu, m, n, k, 1, 2, 2, False, gpu["bf16"],
                                 matmul_constants(fitted["A100-SXM4-80GB", "bf16"]))
    print("A100-SXM4-80GB linear layers of operators.jsonl, not fitted")
    report("forward", one(m, n, k), a[:, 3])
    report("backward (both gradients)", one(m, k, n) + one(k, n, m), a[:, 4])


# Attention ----------------------------------------------------------------------------------

# arXiv:2407.08608 figure 6: backward, not causal, 16k tokens, hidden size 2048, TFLOP/s.
PAPER = {("FlashAttention-2", 128): [214, 260, 291, 310, 318, 322],
         ("FlashAttention-3", 128): [316, 424, 501, 542, 559, 561],
         ("FlashAttention-2", 64): [198, 238, 264, 279, 287, 291],
         ("FlashAttention-3", 64): [272, 363, 422, 453, 472, 474]}


def attention_rows():
    """(gpu, implementation, pass, b, h, kv, length, d, dv, fraction, seconds, source)."""
    found = []
    for r in rows("gemm_attention_efficiency.jsonl"):
        if r["kind"] == "attention" and "achieved_tflops" in r:
            length, d = r["sequence_length_tokens"], r["head_dim"]
            b, h = r["inferred"]["batch"], r["inferred"]["heads"]
            fraction = 0.5 if r["causal"] else 1.0
            scale = 3.5 if r["pass"] == "fwd+bwd" else 1.0
            flops = 4.0 * length**2 * d * h * b * fraction * scale
            found.append((r["gpu"], r["implementation"], r["pass"], b, h, h, length, d, d, fraction,
                          flops / r["achieved_tflops"] / 1e12, "flash-attention figures"))
        elif r["kind"].startswith("measured_efficiency_sdp"):
            d = r["dimensions"]
            b, length, h, kv, qk, v = (int(d[x]) for x in (
                "batch", "seq_len", "head_num", "kv_head_num", "qk_head_dim", "v_head_dim"))
            back = r["kind"].endswith("bwd")
            # the source counts all scores, and 2.5 times as much backward, though causal
            flops = 2.0 * b * h * length**2 * (qk + v) * (2.5 if back else 1)
            found.append((r["gpu"], "library", "bwd" if back else "fwd", b, h, kv, length, qk, v,
                          0.5, flops / r["fraction_of_peak"] / r["peak_used_tflops"] / 1e12,
                          "SimuMax"))
    for r in rows("operators.jsonl"):
        if r.get("operator") == "flash_atten":
            d = r["dimensions"]
            head, h = int(r["inferred"]["head_dim"]), int(r["inferred"]["heads_per_gpu"])
            for direction in ("forward", "backward"):
                found.append(("A100-SXM4-80GB", "FlashAttention-2",
                              "fwd" if direction == "forward" else "bwd", d["b"], h, h, d["l"],
                              head, head, 1.0, r[direction + "_us"] * 1e-6, "operators"))
    for (implementation, d), values in PAPER.items():
        for length, value in zip([512, 1024, 2048, 4096, 8192, 16384], values):
            b, h = 16384 // length, 2048 // d
            found.append(("H100-SXM5-80GB", implementation, "bwd", b, h, h, length, d, d, 1.0,
                          10.0 * length**2 * d * h * b / value / 1e12, "paper figure 6"))
    return found


def predict_attention(name, found, x):
    """x: forward and backward (efficiency, softmax, prologue, tail)."""
    gpu = GPUS[name]
    a = np.array([f[3:10] for f in found], float)
    passes = np.array([f[2] for f in found])
    constants = [dict(zip(("efficiency", "softmax", "prologue", "tail"), x[i:i + 4]))
                 for i in (0, 4)]
    t = np.zeros(len(found))
    for backward, c in zip((False, True), constants):
        wanted = "bwd" if backward else "fwd"
        one = attention(gpu, *a.T[:6], a[:, 6], backward, gpu["bf16"], c)
        t += np.where([wanted in p for p in passes], one, 0)
    return t


def fit_attention():
    everything = attention_rows()
    groups = [
        ("A100-SXM4-80GB", ["FlashAttention-1"], False, 0.5),
        ("A100-SXM4-80GB", ["FlashAttention-2"], True, None),
        ("H100-SXM5-80GB", ["FlashAttention-1"], False, 0.5),
        ("H100-SXM5-80GB", ["FlashAttention-2"], True, 0.5),
        ("H100-SXM5-80GB", ["FlashAttention-3", "cuDNN"], True, 0.5),
        ("B200-SXM", ["library"], True, None),
        ("A100-PCIe-80GB", ["library"], True, None),
    ]
    for name, implementations, separate, tail in groups:
        found = [f for f in everything if f[0] == name and f[1] in implementations]
        # odd head dimensions, which pad badly, are left out of the fit, and so are those that a library pads
        # further backward
        fitted = np.array([
            f[7] % 32 == 0 and not (f[7] > 128 and f[2] == "bwd" and "backward_padding" in GPUS[name])
            for f in found])
        t = np.array([f[10] for f in found])
        tails = [tail, tail] if tail is not None else [0.5, 0.5]

        def expand(x):
            if not separate:  # one timing of both passes: the same constants in both
                # wide heads spill registers in FlashAttention-1: a negative cost of the softmax
                y = [x[0], x[1] - 60, x[2], tails[0]]
                return np.array([*y, *y])
            if tail is not None:
                return np.array([*x[:3], tail, *x[3:6], tail])
            return np.array(x)

        count = 3 if not separate else (6 if tail is not None else 8)
        one = [[0.5, 30, 100], [0.05, 0, 0], [1.5, 250, 800]]
        if tail is None and separate:
            one = [[0.5, 30, 100, 0.7], [0.05, 0, 0, 0], [1.5, 250, 800, 3]]
        start, low, high = (list(o) * (count // len(o)) for o in one)
        x = expand(minimise(
            lambda x: (np.log(predict_attention(name, found, expand(x)) / t))[fitted],
            start, low, high, seeds=4))
        predicted = predict_attention(name, found, x)
        print(name, implementations, "efficiency, softmax, prologue, tail; forward then backward",
              np.round(x, 3))
        passes = np.array([f[2] for f in found])
        length = np.array([f[6] for f in found])
        for p in sorted(set(passes)):
            report(f"{p}, 1k tokens a sequence and longer", predicted, t,
                   fitted & (passes == p) & (length >= 1024))
            report(f"{p}, shorter", predicted, t, fitted & (passes == p) & (length < 1024))
        report("head dimension no multiple of 32 (not fitted)", predicted, t, ~fitted)


# Streaming passes ---------------------------------------------------------------------------

def stream_rows():
    """(label, kind, bytes, seconds); 16-bit tensors, each read or written once."""
    found = []
    for r in rows("operators.jsonl"):
        d, op = r.get("dimensions", {}), r.get("operator")
        tokens = d.get("b", 0) * d.get("l", 0)
        mp = d.get("mp", 1)
        both = {
            "res_add": ("pointwise", tokens * d.get("dim", 0), 6, None),
            "gelu": ("pointwise", 4 * tokens * d.get("dim", 0) / mp, 4, 6),
            # backward reads both inputs twice: once for the input, once for the weight gradient
            "layernorm": ("row", tokens * d.get("dim", 0), 4, 10),
            "ScaledUpperTriangMaskedSoftmax": (
                "row", d.get("b", 0) * d.get("h", 0) / mp * d.get("l", 0) ** 2, 4, 6),
            "softmax": ("row", d.get("b", 0) * d.get("h", 0) / mp * d.get("l", 0) ** 2, 4, 6),
            "embedding": ("gather", tokens * d.get("dim", 0), 4, None),
        }.get(op)
        if both:
            kind, values, forward, backward = both
            found.append((op + " forward", kind, values * forward, r["forward_us"] * 1e-6))
            if backward:
                found.append((op + " backward", kind, values * backward, r["backward_us"] * 1e-6))
        elif op == "middleStage_optimizer":
            parameters = 12 * d["encoders"] * d["dim"] ** 2 / mp
            # fp16 gradient to fp32 (2 + 4), Adam (16 read, 12 written), fp16 copy (2), norm (4)
            found.append((op, "multi", parameters * 40, r["duration_us"] * 1e-6))
    return found


def fit_stream():
    gpu = GPUS["A100-SXM4-80GB"]
    found = stream_rows()
    labels = np.array([f[0] for f in found])
    kinds = np.array([f[1] for f in found])
    moved = np.array([f[2] for f in found])
    t = np.array([f[3] for f in found])
    order = ["pointwise", "row", "gather", "multi"]
    index = np.array([order.index(k) for k in kinds])

    def predict(x):
        return stream(gpu, moved, 1, x[index], x[4] * 1e-6, x[5])

    x = minimise(lambda x: np.log(predict(x) / t), [0.8, 0.6, 0.3, 0.8, 3, 0.2],
                 [0.1, 0.1, 0.05, 0.1, 1, 0], [1, 1, 1, 1, 8, 0.5])
    print("A100-SXM4-80GB pointwise, row, gather, multi, overhead us, residency", np.round(x, 3))
    for label in sorted(set(labels)):
        chosen = labels == label
        achieved = np.median(moved[chosen] / t[chosen]) / gpu["memory"]
        report(f"{label} ({achieved:.2f} of HBM)", predict(x), t, chosen)


if "matmul" in WHAT:
    fit_matmul()
if "attention" in WHAT:
    fit_attention()
if "stream" in WHAT:
    fit_stream()
