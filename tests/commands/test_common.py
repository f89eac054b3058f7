"""What the commands share."""

import gc

import pytest

from eufcc_cli.commands.common import importing


def test_garbage_is_collected_again_after_importing():
    try:
        with importing():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        with pytest.raises(ImportError), importing():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
