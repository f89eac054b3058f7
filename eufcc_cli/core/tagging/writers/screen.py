"""Suggestions for people: a panel for each image, or the suggested part of the hierarchy as a tree."""

import io
from collections.abc import Sequence
from operator import attrgetter

from rich import box
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from eufcc_cli.core.files import visible
from eufcc_cli.core.tagging.records import Contradiction
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import flag_text
from eufcc_cli.core.tagging.writers.writer import Writer
from eufcc_cli.core.taxonomy.tables.annotations import most_specific

_CRUMB = " › "
_FLAG = " ⚑ "
_BAR = 12  # characters
_EIGHTHS = " ▏▎▍▌▋▊▉"
_WIDEST = 100  # characters of a panel: on wider ones, the eye loses the line
_PLAIN_WIDTH = 10_000  # nothing reaches it: without a terminal, no line is cut or wrapped


def bar(score: float, width: int = _BAR) -> str:
    """A bar in eighths of a character.

    >>> bar(0.7, 4)
    '██▊ '
    """
    eighths = round(score * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def percent(score: float) -> str:
    """A probability in per cent; only 1 is shown as 100 %.

    >>> percent(0.934), percent(0.998), percent(0.004)
    ('93 %', '>99 %', '<1 %')
    """
    if 0.995 <= score < 1:
        return ">99 %"
    return "<1 %" if 0 < score < 0.005 else f"{score:.0%}".replace("%", " %")


def _colour(score: float) -> str:
    return "green" if score >= 0.8 else "cyan" if score >= 0.5 else "yellow" if score >= 0.2 else "dim"


def panel(result: Result, *, boxed: bool = True) -> RenderableType:
    """An image's suggestions, a line for each of the most specific ones: path, bar, probability."""
    name = Text(visible(result.input.label or result.input.name), style="bold")
    if result.error is not None:
        content: RenderableType = Text(result.error, style="red")
    else:
        content = _table(result, expand=boxed)
    if not boxed:
        return Group(name, content, "")
    border = "red" if result.error is not None else "bright_black"
    drawn = Panel(
        content, title=name, title_align="left", border_style=border, box=box.ROUNDED, padding=(0, 1)
    )
    return Constrain(drawn, _WIDEST)


def _table(result: Result, expand: bool) -> Table:
    table = Table.grid(padding=(0, 2), expand=expand)
    table.add_column(style="magenta", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for facet, tags in result.tags.items():
        heading = facet
        for tag in most_specific(tags, attrgetter("path")):
            colour = _colour(tag.score)
            table.add_row(heading, _crumbs(tag, tags), Text(bar(tag.score), colour), percent(tag.score))
            heading = ""
        for text in dict.fromkeys(flag_text(flag) for tag in tags for flag in tag.flags):
            table.add_row(heading, Text(f"{_FLAG}{visible(text)}", "yellow"), "", "")
        for found in result.contradictions.get(facet, ()):
            table.add_row(heading, _doubt(found), "", percent(found.score))
            heading = ""
        if heading:
            table.add_row(heading, Text("–", "dim"), "", "")
    return table


def _crumbs(tag: Suggestion, tags: Sequence[Suggestion]) -> Text:
    """The path of a tag; an ancestor that is clearly more probable is shown with its probability."""
    scores = {other.path: other.score for other in tags}
    text = Text()
    flagged = {other.path for other in tags if other.flags}
    for depth, name in enumerate(tag.shown[:-1], start=1):
        text.append(name, "dim")
        if tag.path[:depth] in flagged:
            text.append(_FLAG, "yellow")
        score = scores.get(tag.path[:depth])
        if score is not None and percent(score) != percent(tag.score):
            text.append(f" {percent(score).replace(' ', '')}", "dim italic")
        text.append(_CRUMB, "dim")
    text.append(tag.shown[-1], "bold")
    if tag.flags:
        text.append(_FLAG, "yellow")
    if tag.kind:
        text.append(f"  {tag.kind}", "dim italic")
    return text


def _doubt(found: Contradiction) -> Text:
    text = Text("catalogued: ", "red")
    text.append(_CRUMB.join(found.path), "strike")
    text.append(f"  rather {found.instead.tag} ({percent(found.instead.score)})", "red")
    return text


def tree(result: Result) -> Tree:
    """The suggested part of the hierarchy, with the probability of each tag that is suggested."""
    drawn = Tree(
        Text(visible(result.input.label or result.input.name), style="bold"), guide_style="bright_black"
    )
    if result.error is not None:
        drawn.add(Text(result.error, style="red"))
    for facet, tags in result.tags.items():
        branch = drawn.add(Text(facet, "magenta"))
        nodes: dict[tuple[str, ...], Tree] = {(): branch}
        scores = {tag.path: tag for tag in tags}
        for tag in tags:
            for depth in range(1, len(tag.path) + 1):
                path = tag.path[:depth]
                if path not in nodes:
                    nodes[path] = nodes[path[:-1]].add(_leaf(tag.shown[depth - 1], scores.get(path)))
        for found in result.contradictions.get(facet, ()):
            branch.add(_doubt(found))
        if not branch.children:
            branch.add(Text("–", "dim"))
    return drawn


def _leaf(name: str, suggestion: Suggestion | None) -> Text:
    if suggestion is None:
        return Text(name, "dim")
    text = Text(name)
    text.append(f"  {percent(suggestion.score)}", _colour(suggestion.score))
    if suggestion.kind:
        text.append(f"  {suggestion.kind}", "dim italic")
    for flag in suggestion.flags:
        text.append(f"  {_FLAG}{visible(flag_text(flag))}", "yellow")
    return text


class Plain(Writer):
    """The same without colours, boxes and widths, for files and pipes."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._text = io.StringIO()
        self._console = Console(file=self._text, width=_PLAIN_WIDTH, color_system=None, highlight=False)

    def text(self, result: Result) -> str:
        self._text.seek(0)
        self._text.truncate()
        self._console.print(panel(result, boxed=False) if self._form == "table" else tree(result))
        lines = (line.rstrip() for line in self._text.getvalue().splitlines())
        return "\n".join(lines) + "\n"
