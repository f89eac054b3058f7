"""The state of an interrupted training: position, weights, optimizer, random numbers."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from eufcc_cli.core.training.state.saved_state import load_state, save_state

STATE = "state.safetensors"
START = "start.safetensors"  # the weights that an interpolation starts from


@dataclass
class Position:
    """How far a training is: the part of its state without tensors."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    elapsed: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    margin: float = 0.0
    """By how much an epoch may be below the start and be taken all the same."""
    loss_sum: float = 0.0
    pairs: float = 0.0
    images: int = 0
    validation_seconds: float = 0.0
    begun: float = 0.0
    """Seconds that had passed when the first step began."""
    part: int = 0
    """Images that a process computes at once."""
    threads: int = 0
    """Threads that compute on a processor: with another number, sums differ in their last bits."""
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingState:
    """The parts of a training that are saved and restored; random numbers are those of every process."""

    path: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    ema: nn.Module | None
    """The moving average of the weights, if there is one."""
    accelerator: Accelerator

    def save(self, position: Position, settings: dict[str, Any]) -> None:
        """Write the state, whole or not at all; only the first process writes."""
        randomness = self._gathered_randomness()
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        state = {
            "position": asdict(position),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "randomness": randomness,
            "config": settings,
        }
        save_state(self.path, state)

    def load(self) -> Position:
        """Restore everything from the file; returns how far the training was."""
        state = load_state(self.path)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, own in self.optimizer.state.items():
            for name, value in own.items():
                # A fused step goes through a weight and its moments in the order of memory.
                if getattr(value, "shape", None) == parameter.shape:
                    own[name] = torch.empty_like(parameter).copy_(value)
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.accelerator.process_index < len(state["randomness"]):
            own = state["randomness"][self.accelerator.process_index]
            torch.set_rng_state(own["cpu"])
            if "cuda" in own and self.accelerator.device.type == "cuda":
                torch.cuda.set_rng_state(own["cuda"], self.accelerator.device)
        return Position(**state["position"])

    def _gathered_randomness(self) -> list[dict[str, Tensor]]:
        own = {"cpu": torch.get_rng_state()}
        if self.accelerator.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.accelerator.device)
        return [own] if self.accelerator.num_processes == 1 else gather_object([own])
