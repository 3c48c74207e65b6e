#!/usr/bin/env python3
"""Say how many sweeps of vTrain's one-node rows a smooth predictor can win.

    scripts/fit-steps/cells.py [--errors FILE] [--rows FILE]

The rows obey T = (m + p - 1)(L/p)·a + m·b + ... with m microbatches, p stages, L layers: a (a layer's
time) and b (that of the ends) are one number for each hidden size, tensor degree and micro batch. Here
they are read off the rows without pipeline, by least squares; then replaced by those of a surface of
second degree in the logarithms of the three, fitted on them all or without the cell itself, and it is
counted in how many sweeps (model, GPUs, batch) of at least five layouts the one with the least time is
measured within 5 % of the best. With the output of `dryrun validate --csv` of the same rows the program's
own choices are counted as well. Needs numpy.
"""

import argparse
import csv
import json
import pathlib
from collections import defaultdict

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def rows_of(path):
    """One-node rows as plain records."""
    rows = []
    for line in pathlib.Path(path).open():
        row = json.loads(line)
        scenario = row["scenario"]
        layout, training, model = (scenario[key] for key in ("parallelism", "training", "model"))
        if row["family"] != "vtrain_ground_truth" or scenario["cluster"]["gpus"] > 8:
            continue
        rows.append({
            "id": row["id"], "seconds": row["measured"]["step_seconds"],
            "layers": model["num_hidden_layers"], "stages": layout.get("pipeline", 1),
            "microbatches": training["global_batch"] // (training["micro_batch"] * layout["data"]),
            "cell": (model["hidden_size"], layout["tensor"], training["micro_batch"]),
            "sweep": (model["hidden_size"], model["num_hidden_layers"], scenario["cluster"]["gpus"],
                      training["global_batch"])})
    return rows


def cells_of(rows):
    """(a, b) of each cell, from its rows without pipeline."""
    found, update = {}, {}
    for cell in sorted({row["cell"] for row in rows}, key=lambda cell: cell[2]):
        mine = [row for row in rows if row["cell"] == cell and row["stages"] == 1]
        m, l, t = (np.array([row[key] for row in mine], float)
                   for key in ("microbatches", "layers", "seconds"))
        group = cell[:2]
        if len(set(m)) > 1:  # Update: the same at any micro batch, so known from the smaller ones.
            a, b, c, e = np.linalg.lstsq(np.stack([m * l, m, l, np.ones_like(l)], 1), t, rcond=None)[0]
            update[group] = (c, e)
        else:
            c, e = update[group]
            a, b = np.linalg.lstsq(np.stack([m * l, m], 1), t - c * l - e, rcond=None)[0]
        found[cell] = (a, b)
    return found


def terms(cell):
    """A surface of second degree; of hidden sizes there are two, so it has none squared."""
    h, t, u = np.log2(np.array(cell, float))
    return [1, h, t, u, t * t, u * u, t * u, h * t, h * u]


def won(rows, seconds):
    """Sweeps of at least five rows, and those whose choice is measured within 5 % of the best."""
    sweeps = defaultdict(list)
    for row in rows:
        sweeps[row["sweep"]].append(row)
    sweeps = [sweep for sweep in sweeps.values() if len(sweep) >= 5]
    good = [min(sweep, key=seconds)["seconds"] <= 1.05 * min(row["seconds"] for row in sweep)
            for sweep in sweeps]
    return f"{sum(good)} of {len(good)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--rows", default=str(ROOT / "Sources" / "Studies" / "Measured" / "vtrain_ground_truth.jsonl"))
    parser.add_argument("--errors", help="output of `dryrun validate --csv`")
    options = parser.parse_args()
    rows = rows_of(options.rows)
    measured = cells_of(rows)
    cells = sorted(measured)
    surface = np.array([terms(cell) for cell in cells], float)
    values = np.log(np.array([measured[cell] for cell in cells]))

    def fitted(used, asked):
        return surface[asked] @ np.linalg.lstsq(surface[used], values[used], rcond=None)[0]

    places = np.arange(len(cells))
    whole = fitted(places, places)
    apart = np.array([fitted(places != place, place) for place in places])

    def with_cells(table):
        given = {cell: np.exp(table[place]) for place, cell in enumerate(cells)}

        def seconds(row):
            (a, b), (true_a, true_b) = given[row["cell"]], measured[row["cell"]]
            turns = (row["microbatches"] + row["stages"] - 1) * row["layers"] / row["stages"]
            return row["seconds"] + turns * (a - true_a) + row["microbatches"] * (b - true_b)
        return seconds

    for name, table in (("fitted on all cells", whole), ("each cell left out", apart)):
        error = np.sqrt(np.mean((table - values) ** 2, axis=0))
        print(f"surface, {name}: {won(rows, with_cells(table))} sweeps; "
              f"layers scatter by {100 * error[0]:.1f} %, ends by {100 * error[1]:.1f} %")
    if options.errors:
        predicted = {row["id"]: float(row["predicted_step_seconds"])
                     for row in csv.DictReader(open(options.errors))}
        print(f"the program: {won(rows, lambda row: predicted[row['id']])} sweeps")


if __name__ == "__main__":
    main()
