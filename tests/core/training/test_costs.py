"""Memory and time are asked before they are taken."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.memory import Peak, imagined
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.training import run
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.smaller import does_not_fit, needed_memory
from eufcc_cli.core.training.loop.costs import Costs, check_time_budget, note_of_parts, part_that_fits
from eufcc_cli.core.training.loop.trainer import Trainer
from eufcc_cli.core.training.run import train_run
from eufcc_cli.core.training.training_plan import Plan

pytestmark = pytest.mark.usefixtures("by_pytorch")
COSTS = Costs(
    used=500, free=1000, fixed=100, ending=120, waiting=1, image=40, seconds=0.5, update=1.0, validation=2.0
)  # one image more takes 40 bytes, of 900 that may be taken
QUICK = TrainConfig(
    backbone="test_convnext3", pretrained=False, image_size=32, epochs=1, batch_size=16, device="cpu"
)


def test_the_largest_even_part_that_fits_is_computed_at_once() -> None:
    assert part_that_fits(COSTS, share=10, asked=10) == 10
    assert part_that_fits(COSTS, share=64, asked=64) == 16  # 100 + 64 + 16 * 40 of 900
    assert part_that_fits(COSTS, share=64, asked=8) == 8  # not more than asked for
    assert part_that_fits(replace(COSTS, free=228), share=64, asked=64) == 1
    assert part_that_fits(replace(COSTS, free=200), share=64, asked=64) is None
    assert part_that_fits(replace(COSTS, ending=950), share=64, asked=64) is None  # nor can it end


@pytest.mark.parametrize(
    ("free", "backbone"), [(1.2e9, "test_convnext"), (3.2e8, "convnext_tiny"), (2.4e8, "convnext_tiny")]
)
def test_what_a_hint_proposes_fits(free: float, backbone: str) -> None:
    given = {"backbone": backbone, "pretrained": False, "image_size": 8192, "device": "cpu"}
    error = does_not_fit(TrainConfig(**given).resolved(), int(free), int(free))
    proposed = dict(part.split("=") for part in re.findall(r"`(\w+=\w+)`", str(error.hint)))
    assert proposed
    network = create_backbone(proposed.get("backbone", backbone))
    weights = sum(value.nbytes for value in network.state_dict().values())
    size = int(proposed.get("image_size", network.pretrained_cfg["input_size"][-1]))
    assert weights + needed_memory(network, network, size) <= free


def test_batch_norm_is_named_where_parts_change_what_it_computes() -> None:
    assert "with the same result" in (note_of_parts(COSTS, 64, 16, nn.Conv2d(3, 3, 1)) or "")
    assert "batch norm sees 16" in (note_of_parts(COSTS, 64, 16, nn.BatchNorm2d(3)) or "")


def test_a_budget_too_short_for_one_step_is_an_error_with_one_that_is_not() -> None:
    check_time_budget(COSTS, share=10, budget=10.0, elapsed=0.0)  # 6 s of a step and twice 2 s
    with pytest.raises(ModelError, match="one step of 10 images takes about 6") as caught:
        check_time_budget(COSTS, share=10, budget=9.0, elapsed=0.0)
    proposed = float(str(caught.value.hint).split("`time_budget` ")[1].split(",")[0])
    check_time_budget(COSTS, share=10, budget=proposed, elapsed=0.0)


def test_tensors_are_counted_once_and_those_there_before_not_at_all() -> None:
    before = torch.zeros(1000)
    with Peak() as peak:
        before.add_(1)
        view = before.view(10, 100)
        assert peak.now == 0
        doubled = view * 2
        assert peak.now == 4000
        del doubled
        assert peak.now == 0
    assert peak.bytes == 4000


def test_what_is_imagined_is_what_is_taken() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.LazyLinear(5))
    images = torch.randn(2, 3, 32, 32)
    network(images)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    found = imagined(network, images, learning=True)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    with Peak() as peak:
        network(images).sum().backward()
    parameters = sum(value.nbytes for value in network.parameters())  # may count again
    assert 0.95 * peak.bytes < found + parameters < 1.05 * (peak.bytes + parameters)
    assert imagined(network, torch.zeros(1).expand(2, 3, 32, 32)) < found


def test_a_batch_that_does_not_fit_is_computed_in_parts_and_said_so(
    demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []
    found: list[Costs] = []
    measure = run.measure_costs

    def of_a_step(trainer: Trainer) -> Costs:
        """What the end of the training takes would hide what a step of so small a network does."""
        found.append(replace(measure(trainer), ending=0))
        return found[-1]

    monkeypatch.setattr(run, "measure_costs", of_a_step)
    larger = replace(QUICK, image_size=64)
    train_run(larger, Root(demo_root), "whole", on_plan=plans.append)
    assert plans[0].parts is None
    monkeypatch.setenv("EUFCC_MACHINE", f"memory={found[0].memory(16, 6) / 0.9}")
    train_run(larger, Root(demo_root), "parts", on_plan=plans.append)
    assert "at a time" in (plans[1].parts or "")
    rows = [
        (demo_root / "runs" / name / "history.csv").read_text().splitlines() for name in ("whole", "parts")
    ]
    losses = [dict(zip(names.split(","), values.split(","), strict=True))["loss"] for names, values in rows]
    assert float(losses[1]) == pytest.approx(float(losses[0]), rel=1e-3)
    monkeypatch.setenv("EUFCC_MACHINE", "memory=1e6")
    with pytest.raises(ModelError, match="of memory"):
        train_run(QUICK, Root(demo_root), "none")
    assert not (demo_root / "runs" / "none" / "config.json").exists()
