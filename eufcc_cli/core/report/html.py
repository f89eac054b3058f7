"""A comparison as one self-contained page: tables, plots, and images with their suggestions."""

import base64
import io
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from eufcc_cli import __version__
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.results import OVERALL, Result
from eufcc_cli.core.evaluation.suspects import Suspect, Suspects
from eufcc_cli.core.images.decode import open_image
from eufcc_cli.core.report import plots, samples, tables
from eufcc_cli.core.taxonomy.names import names_of_paths

_SIDE = 320  # pixels of the sample images' longer side
_MARKS = {samples.CORRECT: "✓", samples.CONSISTENT: "≈", samples.WRONG: "✗"}


def render_page(
    comparison: Comparison,
    *,
    paper: bool = False,
    seed: int = 0,
    doubtful: tuple[Path, Suspects] | None = None,
    folder: Path = Path(),
    language: str | None = None,
) -> str:
    """The page, without network and scripts, all data escaped. Needs `details`.

    doubtful: the file that lists annotations that are probably wrong, and these; samples link to it, relative
    to the page's `folder`.
    language: the language of the names of tags.
    """
    by_image: dict[str, list[Suspect]] = {}
    for one in doubtful[1].found if doubtful else ():
        by_image.setdefault(one.id, []).append(one)
    grouped = comparison.grouped
    beside = [tables.paper_table(grouped, split) for split in comparison.splits] if paper else []
    models = list(dict.fromkeys(result.model for result in comparison.results))
    technical = tables.other_metrics(comparison)
    shown = _names(comparison, language)
    return template("evaluation.html.j2").render(
        models=models,
        splits=comparison.splits,
        tables=[
            *tables.comparison_tables(grouped, per_facet=True),
            *(table for table in beside if table is not None),
            *tables.groups_tables(grouped),
        ],
        judgements=tables.judgements(grouped),
        legend=tables.legend(tables.ranking_metrics(comparison)),
        appendix=tables.other_table(comparison) if technical else None,
        technical=tables.legend(technical),
        plots={
            "R-Precision of each facet: where it is low, suggestions need more review.": (
                plots.facets_plot(grouped)
            ),
            "Share of the right tags that were found, by depth in the hierarchy, from broad tags (1) to "
            "specific ones.": plots.depths_plot(grouped),
            **{
                f"R-Precision of {model} for each provider: where it is low, images or annotations differ "
                "from those in training.": plots.providers_plot(
                    [result for result in comparison.results if result.model == model]
                )
                for model in models
            },
        },
        samples=[_samples(comparison, split, seed, shown) for split in comparison.splits],
        marks=_MARKS,
        shown=shown,
        doubtful=by_image,
        doubtful_link=doubtful and os.path.relpath(doubtful[0], folder).replace(os.sep, "/"),
    )


def template(name: str) -> Template:
    """The template of a page: it escapes everything, and has the version of eufcc."""
    environment = Environment(
        loader=PackageLoader("eufcc_cli.core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _svg_uri
    environment.globals["version"] = __version__
    return environment.get_template(name)


def _names(comparison: Comparison, language: str | None) -> samples.Shown:
    """The names of tags in a language, from the root and the glossary."""
    if language is None:
        return lambda facet, tag: tag
    paths: dict[str, dict[tuple[str, ...], None]] = {}
    for result in comparison.results:
        for facet, found in result.facets.items():
            known = paths.setdefault(facet, {})
            known.update(dict.fromkeys(found.tags.path(i) for i in range(len(found.tags))))
    names = names_of_paths(comparison.root, paths)
    names.warn_without(language)
    return lambda facet, tag: names.of(facet, tag, language) or tag


def _samples(comparison: Comparison, split: str, seed: int, shown: samples.Shown) -> dict[str, Any]:
    """The samples of a split, from the model that is best on it."""
    best: Result = max(comparison.of_split(split), key=lambda r: r.figures[OVERALL]["r_precision"])
    chosen = samples.choose(best, seed=seed, shown=shown)
    ids = [sample.image_id for some in chosen.values() for sample in some]
    files = find_images(comparison.root, ids)
    pictures = {image_id: _picture(files.get(image_id)) for image_id in ids}
    return {"split": split, "model": best.model, "groups": chosen, "pictures": pictures}


def _picture(path: Path | None) -> str | None:
    """A small JPEG as a data URI; None if the image is missing or cannot be read."""
    if path is None:
        return None
    try:
        image = open_image(path, short_side=_SIDE)
    except ImageError:
        return None
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _svg_uri(svg: str) -> str:
    """An SVG as a data URI: as an image it can neither run scripts nor load files."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
