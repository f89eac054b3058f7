"""How a training went: a plot of its history, and TensorBoard events."""

from pathlib import Path

import pandas as pd

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import atomic_open

_FACET = "r_precision "
# Okabe and Ito's colours, told apart by the colour-blind, each with a line style of its own.
_STYLES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))


def plot_history(history: Path, target: Path) -> None:
    """Draw a run's history.csv: the loss, and the validation R-Precision of each facet, by epoch."""
    from matplotlib.figure import Figure

    frame = pd.read_csv(history)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(frame["epoch"], frame["loss"], color="black")
    left.set(title="Training loss", xlabel="epoch", ylabel="mean over pairs")
    right.plot(frame["epoch"], frame["r_precision"], color="black", linewidth=2, label="overall")
    facets = [column for column in map(str, frame) if column.startswith(_FACET)]
    for column, (colour, style) in zip(facets, _STYLES, strict=False):
        name = column.removeprefix(_FACET)
        right.plot(frame["epoch"], frame[column], color=colour, linestyle=style, label=name)
    right.set(title="Validation R-Precision", xlabel="epoch", ylim=(0, 1))
    right.legend(loc="lower right", fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    with atomic_open(target) as file:
        figure.savefig(file, format="png", dpi=130)


class TensorBoard:
    """Writes a run's epochs as TensorBoard events below its folder (needs the extra `plots`)."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise EufccError(
                "`tensorboard`: TensorBoard is not installed", hint="pip install 'eufcc[plots]'"
            ) from error
        self._open, self._folder = SummaryWriter, folder
        self._writer: SummaryWriter | None = None

    def write(self, row: dict[str, float]) -> None:
        """Add one epoch; the first makes the files, so that a refused run leaves none."""
        self._writer = self._writer or self._open(str(self._folder / "tensorboard"))
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(name.replace(" ", "/"), value, int(row["epoch"]))
        self._writer.flush()
