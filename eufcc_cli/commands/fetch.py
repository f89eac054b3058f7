"""`eufcc fetch`: the published dataset, a drawn miniature, a harvest of Europeana, and its splits."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from eufcc_cli import console
from eufcc_cli.core.files import Root


class _PublishedByDefault(TyperGroup):
    """`eufcc fetch --split train` means `eufcc fetch published --split train`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_for_help = args[:1] in (["--help"], ["-h"])
        option_first = bool(args) and args[0].startswith("-") and not asks_for_help
        if option_first or (not args and not ctx.resilient_parsing):
            args = ["published", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_PublishedByDefault,
    help="Fetch annotations: EUFCC-340K as it was published (`eufcc fetch`), or a collection of your own.",
    subcommand_metavar="[published|demo|europeana|splits] [OPTIONS]",
)


@app.command("demo")
def demo(
    ctx: typer.Context,
    images: Annotated[int, typer.Option(min=8, help="How many images to draw, all splits together.")] = 3200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same collection.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw.  [default: all cores]")
    ] = None,
) -> None:
    """Draw the miniature collection: annotated pictures by made-up museums, without a network.

    Prints the paths of three test images worth tagging.
    """
    from eufcc_cli.core.collect.demo import draw_collection
    from eufcc_cli.core.files import image_stem

    root: Root = ctx.obj
    drawn = draw_collection(root, images, seed, workers, console.progress())
    splits = ", ".join(f"{split} {count:,}" for split, count in drawn.splits.items())
    tags = ", ".join(f"{facet} {count}" for facet, count in drawn.tags.items())
    already = drawn.images - drawn.drawn
    console.note(
        f"Drew {drawn.drawn:,} images into {root.path}" + (f" ({already:,} were there)." if already else ".")
    )
    console.note(f"  images  {splits}")
    console.note(f"  tags    {tags}")
    console.note(
        f"  made up by {drawn.providers} museums; {len(drawn.held_out)} of them appear only in test_ood: "
        + ", ".join(drawn.held_out)
    )
    console.note("Three images of test_id worth tagging, the first with several objects:")
    for image_id in drawn.showcase:
        console.line(str(root.images / f"{image_stem(image_id)}.jpg"))
