"""How a division into splits is reported: by `fetch splits` and `fetch table`."""

from typing import TYPE_CHECKING

from eufcc_cli import console

if TYPE_CHECKING:
    from eufcc_cli.core.dataset.splits.division_report import Report


def show_splits(report: "Report") -> None:
    images = sum(size.images for size in report.splits.values())
    rows = [
        [name, f"{size.images:,}", f"{size.images / images:.1%}", f"{size.providers:,}", f"{size.tags:,}"]
        for name, size in report.splits.items()
    ]
    columns = ["split", "images", "share", "providers", "tags"]
    console.table(columns, rows, numeric=columns[1:])
    if worst := report.worst:
        console.note(
            f"least evenly divided tag: {worst.facet} {worst.tag}, {worst.images:,} images in {worst.split} "
            f"where an even share is {worst.even:,}"
        )
    replaced = sum(1 for tag in report.dropped if tag.instead)
    console.note(
        f"{report.tags:,} tags; of those with too few images in train, {replaced:,} replaced by a broader "
        f"one, {len(report.dropped) - replaced:,} left out"
    )
    if report.untagged:
        console.note(f"images left out, since all of their tags are: {report.untagged:,}")
    if report.duplicates:
        console.note(
            "images in the split of another, since they share its URL, record or picture: "
            f"{report.duplicates:,}"
        )
    for provider, held_out in report.near_held_out:
        console.warn(
            f"{provider} is not held out, but {held_out} is: if they are one, add it to data/held_out.txt"
        )
    if report.providers < 2 or report.continued:
        return  # nothing can be held out, or what is held out was decided before
    outer = report.splits["test_ood"].images if "test_ood" in report.splits else 0
    least = report.smallest
    if report.shares.ood and not outer and least and least.share >= 2 * report.shares.ood:
        console.note(
            f"No test_ood: the provider with the fewest images, {least.provider}, has {least.share:.0%} of "
            f"them, where --ood asks for {report.shares.ood:.0%}"
            + (
                f". To hold it out: --ood {least.share:g} --resplit"
                if least.possible
                else "; without it, train would lose tags"
            )
        )
    elif outer < 0.8 * report.shares.ood * images:
        console.warn(
            f"test_ood has {outer / images:.1%} of the images: more providers cannot be held out without "
            "taking tags from train"
            + (
                f" (perhaps with --min-count {report.shares.min_count - 1} --resplit)"
                if report.shares.min_count > 1 and report.dropped
                else ""
            )
        )
