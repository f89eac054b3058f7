"""What the tests of asking hosts share."""

from collections.abc import Iterator

import pytest

from eufcc_cli.core.collect import loop


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both event loops that collecting may run in."""
    if request.param == "uvloop" and loop.new_event_loop is None:
        pytest.skip("no uvloop here")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            patch.setattr(loop, "new_event_loop", None)
        yield
