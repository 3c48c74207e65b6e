"""The equations of Sources/Hardware/KernelCost.swift on numpy arrays, for fitting.

Times are seconds, rates per second. A change on either side belongs on the other.
"""

import numpy as np

TILES = [(256, 128), (128, 256), (128, 128), (256, 64), (128, 64), (64, 64)]
GPUS = {
    "A100-SXM4-80GB": dict(units=108, memory=2.039e12, cache=40 * 2**20, bf16=312e12),
    "A100-PCIe-80GB": dict(units=108, memory=1.935e12, cache=40 * 2**20, bf16=312e12),
    "H100-SXM5-80GB": dict(units=132, memory=3.35e12, cache=50 * 2**20, bf16=989e12, fp8=1979e12),
    "B200-SXM": dict(units=148, memory=8e12, cache=126 * 2**20, bf16=2250e12, fp8=4500e12,
                     backward_padding=128),
    "GB200": dict(units=152, memory=8e12, cache=126 * 2**20, bf16=2500e12, fp8=5000e12),
}
CACHE_SPEEDUP = 2.5
MINIMUM_SPLIT = 512


def tile_efficiency(rows, columns, operand_cost):
    """Main-loop rate over that of a 256 x 128 tile: operand loads cost as many multiply-adds."""
    best = 1 + operand_cost * (1 / 256 + 1 / 128)
    return best / (1 + operand_cost * (1 / rows + 1 / columns))


def matmul(gpu, m, n, k, batch, operand_bytes, output_bytes, accumulates, peak, c):
    units = gpu["units"]
    rate = peak * c["efficiency"] / units
    best = np.full(np.shape(m), np.inf)
    for rows, columns in TILES:
        tile_rows, tile_columns = np.ceil(m / rows), np.ceil(n / columns)
        tiles = tile_rows * tile_columns * batch
        main = 2 * rows * columns * k / rate / tile_efficiency(rows, columns, c["operand_cost"])
        splits = np.where(
            tiles < units,
            np.maximum(1, np.minimum(np.floor(units / tiles), np.floor(k / MINIMUM_SPLIT))), 1)
        outputs = m * n * batch
        reduction = np.where(
            splits > 1, 8 * outputs * splits / (gpu["memory"] * CACHE_SPEEDUP), 0)
        compute = waves(tiles * splits, units, c["wave_tail"]) * (
            main / splits + c["prologue"]) + reduction
        operands = (m + n) * k * operand_bytes
        written = outputs * output_bytes * np.where(accumulates, 2, 1)
        grid = tile_rows * tile_columns
        patch = np.minimum(grid, units)
        square = np.sqrt(patch * columns / rows)
        patch_rows = np.minimum(tile_rows, np.maximum(square, patch / tile_columns))
        border = patch_rows * rows + patch / patch_rows * columns
        rereads = np.maximum(0, grid / patch * border * k * operand_bytes - operands)
        missed = np.maximum(0, 1 - gpu["cache"] / operands)
        memory = ((operands + rereads * missed) * batch + written) / (
            gpu["memory"] * c["memory_fraction"])
        best = np.minimum(best, (compute**4 + memory**4) ** 0.25)
    return c["overhead"] + best


def waves(blocks, units, tail):
    exact = blocks / units
    full = np.floor(exact)
    rest = exact - full
    return np.where(exact <= 1, 1.0, full + np.where(rest > 0, tail + (1 - tail) * rest, 0))


def attention(gpu, batch, heads, kv_heads, length, dimension, value, fraction, backward, peak, c,
              memory_fraction=0.85, overhead=3e-6):
    """Fused attention of square sequences."""
    wide = gpu.get("backward_padding", 32) if backward else 32
    pad = lambda d: np.where(d > 128, wide * np.ceil(d / wide), 32 * np.ceil(d / 32))
    d, v = pad(dimension), pad(value)
    score = np.where(backward, 2 * (3 * d + 2 * v), 2 * (d + v)) * (1 + c["softmax"] / (d + v))
    mean = 128 * (length * fraction + c["prologue"]) * score / (
        peak * c["efficiency"] / gpu["units"])
    blocks = batch * heads * np.ceil(length / 128)
    longest = np.minimum(2, 1 / fraction)
    compute = np.maximum(blocks / gpu["units"] + c["tail"] * longest, longest) * mean
    moved = 2 * batch * (length * heads + length * kv_heads) * (dimension + value)
    return overhead + np.maximum(
        compute, np.where(backward, 2, 1) * moved / (gpu["memory"] * memory_fraction))


def stream(gpu, moved, launches, fraction, overhead, residency):
    from_memory = (moved - residency * gpu["cache"] * launches) / (gpu["memory"] * fraction)
    return launches * overhead + np.maximum(
        moved / (gpu["memory"] * CACHE_SPEEDUP), from_memory)
