#!/usr/bin/env python3
"""Fit the constants that only whole training steps decide, and say what the fit is worth.

    scripts/fit-steps/fit.py [--dryrun .build/release/dryrun] [--hold none|models|families|both] [--table FILE]

Drives the real program (`dryrun validate --csv --constants FILE`) over the measured rows in
Sources/Studies/Measured: no second model. The fit minimises the absolute logarithm of predicted over
measured step time (L1 by reweighting; rows off by more than half of themselves lose their weight), by
damped Gauss-Newton steps with finite differences. A family of n rows counts n^(1/4).
A constant the rows say nothing about stays at its unfitted value (`START`).

--hold models fits five times, each time without a fifth of the models, and reports the errors on the
models left out; --hold families does so without each family in turn. No row is in both parts. Such fits
start from the one on all rows and keep its derivatives: constants that lose their rows go back to
`START`, the others move little.
--table writes those errors for Sources/Studies/Measured/held_out.csv, which the validation report shows.

Needs numpy. The constants printed go into KernelConstants+Fitted.swift and Framework+Profiles.swift.
"""

import argparse
import csv
import io
import json
import pathlib
import subprocess
import tempfile
import zlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEASURED = ROOT / "Sources" / "Studies" / "Measured"

# GPU types that share constants. The H100 with 500 W runs at the clock its limit allows
# (KernelConstants.hopper500), a fixed share of the others'.
GPUS = {
    "a100": {"a100-sxm-40gb": 1, "a100-sxm-80gb": 1},
    "h100": {"h100-sxm-80gb": 1, "h200-sxm-141gb": 1, "h800-sxm-80gb": 1, "h100-sxm-96gb-hbm2e": 0.845},
    "b200": {"b200-sxm": 1},
    "gb200": {"gb200": 1},
}

# What is fitted, with the values before any step was seen: clocks of benchmark loops
# (Hardware.md), attention as fast as in its authors' benchmark, the defaults of FrameworkProfile.
START = {
    ("a100", "sustained_clock"): 0.98,
    ("a100", "training_attention"): 1.0,
    ("h100", "sustained_clock"): 0.89,
    ("h100", "training_attention"): 1.0,
    ("h100", "training_flash3"): 1.0,
    ("a100", "training_triton"): 0.55,
    ("h100", "training_triton"): 0.55,
    ("b200", "sustained_clock"): 0.82,
    ("gb200", "sustained_clock"): 0.82,
    ("megatron-deepspeed", "host_per_operation"): 60e-6,
    ("megatron-deepspeed", "host_per_collective"): 60e-6,
    ("megatron-deepspeed", "host_jitter"): 10e-6,
    ("megatron-deepspeed", "host_per_microbatch"): 1e-3,
    ("megatron-deepspeed", "host_per_step"): 5e-3,
}

# Standard deviation of the logarithm of a constant around START, as a weak prior.
PRIOR = {
    "sustained_clock": 0.2, "training_attention": 0.5, "training_flash3": 0.5, "training_triton": 0.5}
PRIOR_ELSE = 1.0
# Reweighting: errors below this count squared, above it absolutely; beyond OUTLIER they lose weight.
SMALL, OUTLIER = 0.02, 0.5
# A family of n rows counts n^(1 - SHARE).
SHARE = 0.75


def fitted_files():
    """Files of measured runs but that which no constant is fitted on, kept to judge the fit."""
    return [path for path in sorted(MEASURED.glob("*.jsonl")) if path.name != "public_unseen.jsonl"]


def measured_rows():
    """Timed rows of all families, with the group that is held out as one."""
    rows = []
    for path in fitted_files():
        for line in path.open():
            row = json.loads(line)
            seconds = row["measured"].get("step_seconds")
            if not seconds:
                continue
            scenario = row["scenario"]
            model = scenario["model"]
            name = model if isinstance(model, str) else "-".join(
                str(model.get(key)) for key in ("hidden_size", "num_hidden_layers", "vocab_size"))
            gpu = scenario["cluster"]["gpu"]
            rows.append({
                "id": row["id"], "family": row["family"], "seconds": seconds,
                "model": row["family"] + "/" + name,
                "gpu": gpu if isinstance(gpu, str) else gpu["like"],
                "framework": scenario["training"].get("framework", "generic")})
    return rows


class Program:
    """Predictions of the real program under given constants."""

    def __init__(self, dryrun, rows):
        self.dryrun, self.rows = dryrun, rows
        self.index = {row["id"]: position for position, row in enumerate(rows)}
        self.files = [str(path) for path in fitted_files()]
        self.runs = 0

    @staticmethod
    def tree(constants):
        """The file `dryrun validate --constants` takes."""
        tree = {"gpus": {}, "frameworks": {}}
        for (owner, name), value in constants.items():
            for gpu, share in GPUS.get(owner, {}).items():
                scaled = value * share if name == "sustained_clock" else value
                tree["gpus"].setdefault(gpu, {})[name] = scaled
                # On an A100 the library's attention is of FlashAttention-2's class.
                if (owner, name) == ("a100", "training_attention"):
                    tree["gpus"][gpu]["training_flash3"] = scaled
            if owner not in GPUS:
                tree["frameworks"].setdefault(owner, {})[name] = value
                if name == "host_per_operation":
                    tree["frameworks"][owner]["host_per_operation_backward"] = value
        return tree

    def log_errors(self, constants):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self.tree(constants), file)
            file.flush()
            text = subprocess.run(
                [self.dryrun, "validate", "--csv", "--constants", file.name, *self.files],
                check=True, capture_output=True, text=True).stdout
        self.runs += 1
        result = np.full(len(self.rows), np.nan)
        for row in csv.DictReader(io.StringIO(text)):
            position = self.index.get(row["id"])
            if position is not None:
                result[position] = np.log(
                    float(row["predicted_step_seconds"]) / self.rows[position]["seconds"])
        return result

    def touched(self, owner):
        """Rows a constant of `owner` can change."""
        return np.array([
            row["gpu"] in GPUS[owner] if owner in GPUS else row["framework"] == owner
            for row in self.rows])


def weights(errors, rows, used):
    families = [row["family"] for row in rows]
    count = {family: sum(u for f, u in zip(families, used) if f == family) for family in set(families)}
    balance = np.array([1 / count[f] ** SHARE if count[f] else 0 for f in families])
    size = np.abs(errors)
    robust = 1 / np.maximum(size, SMALL) / (1 + (size / OUTLIER) ** 2)
    return np.where(used & np.isfinite(errors), balance * robust, 0)


def jacobian(program, constants, errors, step=0.05):
    """Change of each log error with each log constant; constants that touch different rows share runs."""
    keys = list(constants)
    columns = np.zeros((len(errors), len(keys)))
    pending = list(range(len(keys)))
    while pending:
        batch, free = [], np.ones(len(errors), bool)
        for position in list(pending):
            mine = program.touched(keys[position][0])
            if (mine & ~free).any():
                continue
            batch.append((position, mine))
            free &= ~mine
            pending.remove(position)
        moved = dict(constants)
        for position, _ in batch:
            moved[keys[position]] *= np.exp(step)
        difference = (program.log_errors(moved) - errors) / step
        for position, mine in batch:
            columns[mine, position] = np.nan_to_num(difference[mine])
    return columns


def loss(errors, rows, used, constants):
    """What is minimised: reweighted squares at their own weights, that is absolute values, and the prior."""
    size = np.abs(errors)
    families = np.array([row["family"] for row in rows])
    total = 0.0
    for family in set(families):
        mine = (families == family) & used & np.isfinite(errors)
        if mine.any():
            bounded = OUTLIER * np.arctan(size[mine] / OUTLIER)
            total += bounded.sum() / mine.sum() ** SHARE
    return total + 0.01 * prior(constants)


def prior(constants):
    return sum(
        (np.log(value / START[key]) / PRIOR.get(key[1], PRIOR_ELSE)) ** 2
        for key, value in constants.items())


def fit(program, used, constants, rounds, columns=None):
    """Constants and log errors of the fit on the rows `used`; with `columns`, on these derivatives."""
    fixed = columns
    constants = dict(constants)
    errors = program.log_errors(constants)
    best = loss(errors, program.rows, used, constants)
    keys = list(constants)
    centre = np.log([START[key] for key in keys])
    tightness = np.array([0.01 / PRIOR.get(key[1], PRIOR_ELSE) ** 2 for key in keys])
    for _ in range(rounds):
        columns = jacobian(program, constants, errors) if fixed is None else fixed
        now = np.log([constants[key] for key in keys])
        # Reweighted least squares on the linearised errors.
        change = np.zeros(len(keys))
        for _ in range(30):
            weight = weights(np.nan_to_num(errors + columns @ change), program.rows, used)
            matrix = columns.T @ (columns * weight[:, None]) + np.diag(tightness + 1e-6)
            right = -columns.T @ (weight * np.nan_to_num(errors)) - tightness * (now - centre)
            change = np.linalg.solve(matrix, right)
        change = np.clip(change, -0.7, 0.7)
        for damping in (1, 0.5, 0.2, 0.07):
            trial = {key: float(np.exp(now[i] + damping * change[i])) for i, key in enumerate(keys)}
            for key in trial:
                if key[1] in ("sustained_clock", "training_attention"):
                    trial[key] = min(trial[key], 1.0)
            tried = program.log_errors(trial)
            value = loss(tried, program.rows, used, trial)
            if value < best - 1e-4:
                constants, errors, best = trial, tried, value
                break
        else:
            break
    return constants, errors


def report(title, errors, rows, used, without=None, table=None):
    """Prints errors by family; appends them to the rows of `table` too."""
    print(f"\n{title}\n{'family':32s}{'rows':>6s}{'median':>9s}{'abs. median':>13s}{'abs. 90 %':>11s}")
    relative = np.exp(errors) - 1
    families = np.array([row["family"] for row in rows])
    medians = []
    for family in sorted(set(families)) + ["overall"]:
        mine = used & np.isfinite(relative) & ((families == family) | (family == "overall"))
        if not mine.any():
            continue
        size = np.abs(relative[mine])
        if table is not None:
            table.append((without, family, mine.sum(), f"{np.median(relative[mine]):.4f}",
                          f"{np.median(size):.4f}", f"{np.quantile(size, 0.9):.4f}"))
        if family != "overall":
            medians.append(np.median(size))
        print(f"{family:32s}{mine.sum():6d}{100 * np.median(relative[mine]):8.1f} %"
              f"{100 * np.median(size):11.1f} %{100 * np.quantile(size, 0.9):9.1f} %")
    print(f"mean of the families' medians {100 * np.mean(medians):.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dryrun", default=str(ROOT / ".build" / "release" / "dryrun"))
    parser.add_argument("--hold", choices=["none", "models", "families", "both"], default="none")
    parser.add_argument("--table", help="write the errors on what was held out, as comma-separated values")
    parser.add_argument("--output", help="write the fitted constants for dryrun validate --constants")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    rows = measured_rows()
    program = Program(options.dryrun, rows)
    everything = np.ones(len(rows), bool)
    constants, errors = fit(program, everything, START, options.rounds)
    for (owner, name), value in constants.items():
        print(f"{owner:20s} {name:24s} {START[(owner, name)]:10.4g} -> {value:.4g}")
    if options.output:
        pathlib.Path(options.output).write_text(json.dumps(program.tree(constants), indent=1))
    report("Unfitted", program.log_errors(START), rows, everything)
    report("Fitted on all rows", errors, rows, everything)
    table = []
    columns = jacobian(program, constants, errors) if options.hold != "none" else None
    for hold in {"none": [], "both": ["models", "families"]}.get(options.hold, [options.hold]):
        if hold == "models":
            parts = np.array([zlib.crc32(row["model"].encode()) % 5 for row in rows])
        else:
            names = sorted({row["family"] for row in rows})
            parts = np.array([names.index(row["family"]) for row in rows])
        held = np.full(len(rows), np.nan)
        for part in range(parts.max() + 1):
            without, found = fit(program, parts != part, constants, options.rounds, columns)
            held[parts == part] = found[parts == part]
            print("without part", part, {f"{o} {n}": float(f"{v:.4g}") for (o, n), v in without.items()})
        report(f"On {hold} not fitted on", held, rows, everything, hold, table)
    if options.table:
        with open(options.table, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(
                ["without", "family", "rows", "median", "absolute_median", "absolute_90"])
            writer.writerows(table)
    print(f"{program.runs} runs of the program")


if __name__ == "__main__":
    main()
