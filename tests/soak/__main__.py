"""`make soak`: runs the nights of a year and writes the curve: disk, memory, open files, time and database by night.

Every night is checked: the run succeeds however often it was killed, what was released is explained by its run's
report, and versions and runs are no more than the section `retention` says. With --folder, an interrupted year goes on
after its last finished night.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.pipeline.local.past_runs import find_runs, read_runs
from restem.pusher.registry import read_registry
from tests.soak.measure import disk, restem
from tests.soak.year import CONFIG, VERSIONS, Night, write_span, year

OUT = Path(__file__).parents[1] / "benchmarks" / "soak.json"
DONE = "soak.json"  # in the year's folder: what is measured so far
MOST_KILLS = 5  # of one night
WARM = 20  # nights until disk and versions are as many as retention allows
# Each figure's key, and in which nights: those in which something was computed, those in which nothing was, or all.
FIGURES = {
    "disk_without_loading_mib": ("disk_without_loading_mib", None),
    "memory_mib": ("memory_mib", True),
    "open_files": ("open_files", True),
    "seconds": ("seconds", True),
    "seconds_of_unchanged_nights": ("seconds", False),
    "database_seconds": ("database_seconds", None),
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after the night that passes this")
    parser.add_argument("--folder", type=Path, help="goes on with the year in this folder; default: a temporary one")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="restem-soak-"))
    folder.mkdir(exist_ok=True, parents=True)
    result = begin(folder, given.nights, given.seed)
    print(f"seed {result['seed']}, {len(result['nights'])} nights are done", flush=True)
    (folder / "soak.yaml").write_text(CONFIG, encoding="utf-8")
    begun, before = time.monotonic(), result["minutes"]
    for night in year(given.nights, result["seed"])[len(result["nights"]) :]:
        if time.monotonic() - begun > 60 * given.minutes:
            break
        nights = result["nights"]
        nights.append(one_night(folder, night, result["seed"], nights))
        print(json.dumps(nights[-1]), flush=True)
        result["minutes"] = round(before + (time.monotonic() - begun) / 60, 1)
        result["level"] = level(nights)
        for file in (folder / DONE, given.out):
            part = file.with_suffix(".part")
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            part.replace(file)
    print(json.dumps(result["level"], indent=1))
    sys.exit(0 if all(one["level"] for one in result["level"].values()) else 1)


def begin(folder: Path, nights: int, seed: int | None) -> dict[str, Any]:
    """What an interrupted year in this folder has measured, or the beginning of a new one."""
    done = folder / DONE
    if not done.is_file():
        seed = random.randrange(10**6) if seed is None else seed
        machine = f"{platform.system()} {platform.machine()}"
        return {"seed": seed, "machine": machine, "planned": nights, "minutes": 0.0, "level": {}, "nights": []}
    found = json.loads(done.read_text(encoding="utf-8"))
    if seed not in (None, found["seed"]):
        sys.exit(f"{done} is a year of the seed {found['seed']}: leave out --seed, or choose another --folder")
    return {**found, "planned": nights}


def one_night(folder: Path, night: Night, seed: int, before: list[dict[str, Any]]) -> dict[str, Any]:
    """One night, with its kills; returns its line of the curve.

    Raises:
      AssertionError: something is not as it must be.
    """
    root, log = folder / "root", folder / "console.log"
    if night.new_images:
        write_span(folder / "images", night, seed)
    usual = statistics.median([one["seconds"] for one in before if one["computed"]] or [60.0])
    run = ("run", "--config", folder / "soak.yaml", "--root", root, "--json")
    kills = 0
    for share in night.kills[:MOST_KILLS]:
        ended = restem(*run, log=log, kill_after=share * usual)
        kills += ended.killed
        assert ended.killed or ended.code == 0, f"night {night.number}: exit code {ended.code}, see {log}"
    done = restem(*run, log=log)
    assert done.code == 0, f"night {night.number}: exit code {done.code}, see {log}"
    result = json.loads(done.out.splitlines()[-1])
    assert result["cleaned"]["problems"] == [], result["cleaned"]
    clean = ("clean", "--config", folder / "soak.yaml", "--root", root, "--yes", "--json")
    if night.cleaning_killed is not None:
        restem(*clean, log=log, kill_after=night.cleaning_killed)
    cleaned = restem(*clean, log=log)
    assert cleaned.code == 0, f"night {night.number}: clean ended with {cleaned.code}, see {log}"
    start = time.monotonic()
    runs = read_runs(root)
    database_seconds = time.monotonic() - start
    versions = check_releases(root)
    # In production, nights are a day apart. Here, versions that a server may still be loading stay too.
    loading = [item for item in json.loads(cleaned.out)["kept"] if "a server may be loading it" in item["reason"]]
    assert versions - len(loading) <= VERSIONS, (
        f"night {night.number}: {versions} versions, {len(loading)} may be loaded"
    )
    size, files = disk(root)
    return {
        "night": night.number,
        "new_images": night.new_images,
        "classes": night.classes,
        "kills": kills,
        "computed": "Trainer" not in result["cached"],
        "served": Path(result["pushed_to"]).name,
        "removed_mib": round((result["cleaned"]["bytes"] + json.loads(cleaned.out)["freed"]) / 2**20, 1),
        "versions": versions,
        "may_be_loading": len(loading),
        "runs": len(runs),
        "disk_mib": round(size / 2**20, 1),
        "disk_without_loading_mib": round((size - sum(item["bytes"] for item in loading)) / 2**20, 1),
        "files": files,
        "database_kib": (root / "metadata.sqlite").stat().st_size // 1024,
        "database_seconds": round(database_seconds, 3),
        "memory_mib": round(done.memory_mib),
        "open_files": done.open_files,
        "seconds": round(done.seconds, 1),
    }


def check_releases(root: Path) -> int:
    """Every released version can be used and is explained by the report of its run; returns their number."""
    entries = read_registry(str(root / "serving" / "soak"), now=time.time())
    assert entries[0].served, entries[0]
    for entry in entries:
        assert entry.problem is None, entry
        assert entry.release is not None, entry
        (run,) = find_runs(f"{root}@{entry.release.run}")
        try:
            page = Path(run.output("Report", "report")) / "index.html"
            verdict = Path(run.output("Evaluator", "blessing")) / "BLESSED"
        except RestemError as error:
            raise AssertionError(f"version {entry.number} is not explained: {error}") from None
        assert page.is_file(), entry
        assert verdict.is_file(), entry
        assert entry.release.reason, entry
    return len(entries)


def level(nights: list[dict[str, Any]]) -> dict[str, Any]:
    """Each figure's median in the first and in the last third after the first nights; level: not 15% larger.

    Reading the database may grow with the number of runs, but takes less than two seconds.
    """
    warm = nights[WARM:]
    third = len(warm) // 3
    found: dict[str, Any] = {}
    if third < 3:
        return found
    for name, (figure, computed) in FIGURES.items():
        first, last = (
            [one[figure] for one in part if computed in (None, one["computed"])]
            for part in (warm[:third], warm[-third:])
        )
        if not first or not last:
            continue
        a, b = statistics.median(first), statistics.median(last)
        limit = 2.0 if figure == "database_seconds" else 1.15 * a
        found[name] = {"first": a, "last": b, "level": b <= limit}
    return found


if __name__ == "__main__":
    main()
