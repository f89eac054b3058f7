"""Fixtures for the tests that run an event loop."""

from collections.abc import Iterator

import pytest

from eufcc_cli.core.http import event_loop as loops


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both event loops that collecting may run in."""
    if request.param == "uvloop" and loops.new_event_loop is None:
        pytest.skip("no uvloop here")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            patch.setattr(loops, "new_event_loop", None)
        yield
