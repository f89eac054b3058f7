"""Which models `eufcc tag` tags with: those named, the newest, or a published one without training."""

from typing import TYPE_CHECKING, cast

from eufcc_cli import console
from eufcc_cli.commands.common import ModelLoader, importing

if TYPE_CHECKING:
    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel
    from eufcc_cli.core.tagging.display import Display
    from eufcc_cli.core.tagging.selection import Choice
    from eufcc_cli.core.tagging.tagger import Tagger


def open_tagger(
    names: list[str] | None, choice: "Choice", load: ModelLoader, display: "Display", compiled: bool
) -> "Tagger":
    """The models that tag, one or several; without a trained one, a published one."""
    with importing():
        from eufcc_cli.core.model.model_files import newest_run
        from eufcc_cli.core.tagging.tagger import Tagger, compile_network

    models: list[TaggingModel | ConvertedModel]
    one = load if compiled else load.for_tagging
    if names:
        models = [one(names[0])] if len(names) == 1 else [load(name) for name in names]
    elif newest := newest_run(load.root):
        console.note(f"model: {newest}, the newest in {load.root.runs}")
        models = [one(newest)]
    else:
        models = [_untrained(load)]
    tagger = Tagger(models, choice, load.root, display)
    load.check_all_used()
    if compiled:
        for model in tagger.models:
            compile_network(cast("TaggingModel", model))
    if tagger.calibration is None and names:
        console.warn(
            f"{tagger.name} is not calibrated, its scores are the method's own{load.calibrate(tagger.spec)}"
        )
    for facet in tagger.chooser.unreachable:
        console.warn(f"{facet}: too few validation images to promise so much: all of its tags are suggested")
    return tagger


def _untrained(load: ModelLoader) -> "TaggingModel":
    """The published CLIP model that tags images where there is no trained one."""
    from eufcc_cli.core.errors import ModelError
    from eufcc_cli.core.model import zero_shot

    console.note(
        f"no trained model in {load.root.runs}: {zero_shot.DEFAULT} without any training, fetched once from "
        f"the hub ({zero_shot.DEFAULT_MEGABYTES} MB, licence {zero_shot.DEFAULT_LICENCE}); its scores are "
        "CLIP's own. `eufcc train` on your own table gives a better model"
    )
    try:
        return load(zero_shot.DEFAULT)
    except ModelError as error:
        raise ModelError(
            f"no trained model in {load.root.runs}, and {error}",
            hint="without the hub: train on your own table with `eufcc train`; or give a trained model's "
            "folder, `model=FOLDER`; or CLIP weights in a file, `model=clip:ViT-B-32-256` and `weights=FILE`",
        ) from error
