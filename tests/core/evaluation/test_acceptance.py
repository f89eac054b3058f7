"""How often suggestions were accepted: by model, facet and probability bin."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from eufcc_cli.core.evaluation.acceptance import Bin, acceptance
from eufcc_cli.core.taxonomy.decisions import Decision
from tests.conftest import Run


def decisions(seed: int = 0, count: int = 400) -> list[Decision]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        score = float(np.round(rng.random(), 3))
        verdict = "added" if i % 40 == 0 else "accepted" if rng.random() < score else "rejected"
        made.append(
            Decision(
                time="2026-11-26T10:00:00Z",
                reviewer="ann",
                image=f"{i}.jpg",
                facet=("materials", "objectTypes")[i % 2],
                tag="x",
                verdict=verdict,
                score=None if verdict == "added" else score,
                model="demo",
                digest="ab" * 32 if i % 3 else "cd" * 32,
            )
        )
    return made


def test_counts_by_model_facet_and_bin() -> None:
    made = decisions()
    found = acceptance(made)
    assert [(one.digest[:2], one.facet) for one in found if one.digest] == [
        (digest, facet) for digest in ("cd", "ab") for facet in (None, "objectTypes", "materials")
    ]
    for one in found:
        own = [d for d in made if d.digest == one.digest and one.facet in (None, d.facet)]
        scored = [d for d in own if d.verdict != "added"]
        assert one.decided == len(scored)
        assert one.accepted == sum(d.verdict == "accepted" for d in scored)
        assert one.added == len(own) - len(scored)
        assert one.mean == pytest.approx(np.mean([d.score for d in scored]))
        gap = 0.0
        for part in one.bins:
            inside = [d for d in scored if part.low <= d.score < part.high or d.score == part.high == 1]
            assert part.decided == len(inside)
            assert part.accepted == sum(d.verdict == "accepted" for d in inside)
            gap += abs(part.accepted - sum(d.score for d in inside)) / len(scored)
        assert sum(part.decided for part in one.bins) == one.decided
        assert one.calibration_error == pytest.approx(gap)


@pytest.mark.parametrize(("decided", "accepted"), [(1, 0), (7, 7), (40, 31), (1000, 3)])
def test_the_interval_is_wilsons(decided: int, accepted: int) -> None:
    expected = binomtest(accepted, decided).proportion_ci(method="wilson")
    assert Bin(0, 1, decided, accepted, 0.5).interval == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


def test_only_added_tags_have_no_rate() -> None:
    (everything, _) = acceptance([d for d in decisions() if d.verdict == "added"][:1])
    assert (everything.decided, everything.added, everything.bins) == (0, 1, ())
    assert math.isnan(everything.rate)


def test_the_command(tmp_path: Path, eufcc: Run) -> None:
    (tmp_path / "d.jsonl").write_text("".join(one.line() for one in decisions()))
    done = eufcc("evaluate", "--decisions", "d.jsonl", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert "demo abababab" in done.stdout
    assert "90% to 100%" in done.stdout
    page = (tmp_path / "page.html").read_text()
    assert "data:image/svg+xml" in page and "<script" not in page
    content = json.loads(eufcc("evaluate", "--decisions", "d.jsonl", "--format", "json").stdout)
    assert len(content["decisions"]) == 6
    assert content["decisions"][0]["bins"][0]["low"] == 0
    assert eufcc("evaluate", "--decisions", "d.jsonl", "--format", "csv").stdout.startswith(
        "model,digest,facet"
    )
    assert "| demo" in eufcc("evaluate", "--decisions", "d.jsonl", "--format", "markdown").stdout
    assert eufcc("evaluate", "some-run", "--decisions", "d.jsonl").returncode == 2
    (tmp_path / "empty.jsonl").write_text("")
    empty = eufcc("evaluate", "--decisions", "empty.jsonl")
    assert (empty.returncode, "no decision in it" in empty.stderr) == (1, True)
