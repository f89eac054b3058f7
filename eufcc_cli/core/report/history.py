"""A plot of a training's history."""

from pathlib import Path

import pandas as pd

from eufcc_cli.core.files import atomic_open

_FACET = "r_precision_"


def plot_history(history: Path, target: Path) -> None:
    """Draw a run's history.csv: both losses, and the validation R-Precision of each facet, by epoch."""
    from matplotlib.figure import Figure

    from eufcc_cli.core.report.plots import COLOURS, LINES

    frame = pd.read_csv(history)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(frame["epoch"], frame["loss"], color="black", label="training")
    left.plot(frame["epoch"], frame["validation_loss"], color=COLOURS[0], linestyle="--", label="validation")
    left.set(title="Loss", xlabel="epoch", ylabel="mean over pairs")
    left.legend(loc="upper right", fontsize="small")
    right.plot(frame["epoch"], frame["r_precision"], color="black", linewidth=2, label="overall")
    facets = [name for name in map(str, frame) if name.startswith(_FACET) and frame[name].notna().any()]
    for column, colour, line in zip(facets, COLOURS, LINES, strict=False):
        name = column.removeprefix(_FACET)
        right.plot(frame["epoch"], frame[column], color=colour, linestyle=line, label=name)
    right.set(title="Validation R-Precision", xlabel="epoch", ylim=(0, 1))
    right.legend(loc="lower right", fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    with atomic_open(target) as file:
        figure.savefig(file, format="png", dpi=130)
