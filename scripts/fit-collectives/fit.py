#!/usr/bin/env python3
"""Fits the constants of Sources/Collectives/FabricConstants.swift on nccl-tests tables.

    fit.py nccl_intranode.jsonl

One row a measurement: gpu, gpu_count, collective, message_bytes, latency_us. Model, per GPU kind:
time = min over protocols of base + steps * step + chunk * (steps + copy) / rate, chunk = bytes / ranks.
base, step and the two rates (all-reduce; all-gather and reduce-scatter) are per protocol, the local
copy per operation family, and PCIe kinds share rate among 3-4 and 5+ ranks. Rows are weighed by
relative error, L1 (iteratively reweighted non-negative least squares). Needs numpy and scipy.
"""
import json
import sys

import numpy as np
from scipy.optimize import nnls

KINDS = {  # gpu in the table: (name, link GB/s per direction by data sheet, in-network, shared bus)
    "A100-SXM4-80GB": ("ampere", 300.0, False, False),
    "H100-SXM5-80GB": ("hopper", 450.0, True, False),
    "B200-SXM": ("blackwell", 900.0, True, False),
    "L40S": ("pcie4", 32.0, False, True),
    "RTX PRO 6000 Blackwell Server": ("pcie5", 64.0, False, True),
}
MEBI = 2**20
# Seconds per step of NCCL's tuner for an NVLink ring (src/graph/tuning.cc, hwLat: LL128, Simple): the
# table's 2, 4 and 8 ranks cannot tell step from base there, larger groups need the step. LL is fitted.
FIXED_STEPS = (None, 1.9, 3.4)
# Bus bandwidths of 8 GPUs without in-network reduction (NVIDIA GTC24 S62129, GTC25 S72583): no rate
# is above, as the table's 512 MiB end before the asymptote.
BUS_LIMITS = {"ampere": 235.0, "hopper": 370.0, "blackwell": 700.0}


def solve(features, times, floors, fixed):
    """Coefficients not below the floors, some fixed at them, with least mean relative error."""
    target = 1 - features @ floors / times
    scaled = features / times[:, None]
    scaled[:, fixed] = 0
    scale = scaled.max(0) + 1e-300
    scaled = scaled / scale
    weight = np.ones(len(times))
    for _ in range(15):
        x, _ = nnls(scaled * weight[:, None], target * weight)
        weight = 1 / np.sqrt(np.maximum(np.abs(scaled @ x - target), 0.02))
    return x / scale + floors


def envelope(features, times, first, steps=(None, None, None), least=0.0):
    """Lines whose minimum follows the times; returns coefficients and predictions."""
    assigned = first
    lines = int(first.max()) + 1
    for _ in range(30):
        solutions = []
        for line in range(lines):
            mask = assigned == line
            floors = np.array([0.0, steps[line] or 0.0] + [least] * (features.shape[1] - 2))
            fixed = [1] if steps[line] else []
            solutions.append(
                solve(features[mask], times[mask], floors, fixed)
                if mask.sum() > features.shape[1] else None)
        predictions = np.stack(
            [features @ x if x is not None else np.full(len(times), np.inf) for x in solutions], 1)
        chosen = predictions.argmin(1)
        if (chosen == assigned).all():
            break
        assigned = chosen
    return solutions, predictions.min(1)


def descend(evaluate, start, grids):
    """Coordinate descent over grids; evaluate returns (error, anything)."""
    values, best = list(start), evaluate(*start)
    while True:
        before = best[0]
        for index, grid in enumerate(grids):
            for value in grid:
                trial = values[:index] + [value] + values[index + 1:]
                result = evaluate(*trial)
                if result[0] < best[0] - 1e-6:
                    values, best = trial, result
        if best[0] > before - 1e-5:
            return values, best


def sharing(ranks, at4, at8):
    return np.where(ranks <= 2, 1.0, np.where(ranks <= 4, at4, at8))


def report(label, errors, sizes):
    for text, mask in (("< 1 MiB", sizes < MEBI), (">= 1 MiB", sizes >= MEBI)):
        if mask.any():
            e = errors[mask]
            print(f"    {label:16} {text:9} rows {mask.sum():3}  median {np.median(e):.3f}"
                  f"  p90 {np.quantile(e, 0.9):.3f}  max {e.max():.3f}")


def rate(seconds_per_byte, link):
    return f"{1e-3 / seconds_per_byte / link:.3f}" if seconds_per_byte > 0 else "inf"


def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    for gpu, (name, link, in_network, shared) in KINDS.items():
        mine = [r for r in rows if r["gpu"] == gpu]
        size = np.array([r["message_bytes"] for r in mine], float)
        ranks = np.array([r["gpu_count"] for r in mine])
        time = np.array([r["latency_us"] for r in mine])
        reduce = np.array([r["collective"] == "all_reduce" for r in mine])
        exchange = np.array([r["collective"] == "alltoall" for r in mine])
        switched = reduce & (ranks > 4) & (size >= MEBI) if in_network else reduce & False
        ring = ~exchange & ~switched
        steps = np.where(reduce, 2 * (ranks - 1), ranks - 1)
        copies = np.arange(0, 1.51, 0.1)
        shares = np.array([1, .9, .8, .7, .65, .6, .5, .4, .3, .25, .2, .15, .1, .08, .07, .06, .05])

        def rings(copy_reduce, copy_gather, at4=1.0, at8=1.0):
            chunk = size / ranks / sharing(ranks, at4, at8)
            f = np.stack([np.ones_like(size), steps, chunk * (steps + copy_reduce) * reduce,
                          chunk * (steps + copy_gather) * ~reduce], 1)[ring]
            first = np.where(size <= MEBI / 2, 0, np.where(size <= 16 * MEBI, 1, 2))[ring]
            lines, predicted = envelope(
                f, time[ring], first, FIXED_STEPS, 1e-3 / BUS_LIMITS.get(name, np.inf))
            error = np.abs(predicted / time[ring] - 1)
            return error.mean(), lines, error

        def direct(copy, at4=1.0, at8=1.0):
            chunk = size / ranks / sharing(ranks, at4, at8)
            f = np.stack([np.ones_like(size), ranks - 1.0, chunk * (ranks - 1 + copy)], 1)[exchange]
            first = np.where(size <= MEBI / 4, 0, np.where(size < 16 * MEBI, 1, 2))[exchange]
            lines, predicted = envelope(f, time[exchange], first)
            error = np.abs(predicted / time[exchange] - 1)
            return error.mean(), lines, error

        extra, grids = ([.5, .3], [shares, shares]) if shared else ([], [])
        values, (_, lines, error) = descend(rings, [.4, .4] + extra, [copies, copies] + grids)
        print(name, f"link {link} GB/s  copy {values[0]:.1f} {values[1]:.1f} sharing {values[2:]}")
        for x in lines:
            if x is not None:
                print(f"  ring    base {x[0]:.2f} step {x[1]:.2f} reduce {rate(x[2], link)}"
                      f" gather {rate(x[3], link)}")
        report("all_reduce ring", error[reduce[ring]], size[ring][reduce[ring]])
        report("gather/scatter", error[~reduce[ring]], size[ring][~reduce[ring]])

        values, (_, lines, error) = descend(direct, [.4] + extra, [copies] + grids)
        print(f"  copy {values[0]:.1f} sharing {values[1:]}")
        for x in lines:
            if x is not None:
                print(f"  direct  base {x[0]:.2f} step {x[1]:.2f} rate {rate(x[2], link)}")
        report("alltoall", error, size[exchange])

        if in_network:
            f = np.stack([np.ones_like(size), size * (1 + 1 / ranks)], 1)[switched]
            lines, predicted = envelope(
                f, time[switched], np.where(size > 32 * MEBI, 1, 0)[switched])
            for x in lines:
                if x is not None:
                    print(f"  switch  base {x[0]:.2f} rate {rate(x[1], link)}")
            report("all_reduce NVLS", np.abs(predicted / time[switched] - 1), size[switched])


if __name__ == "__main__":
    main()
