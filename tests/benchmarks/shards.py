"""What an engine costs for each shard: 500 shards of one small image, here and on Ray.

The model is the smallest there is, and its features of the one picture are the same for all: what remains is
reading the list of images, writing the part and its note, and handing the shard to a worker.
"""

import tempfile
import time
from pathlib import Path

from PIL import Image

from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.shards.engines import left, run_on_ray
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import make_plan
from eufcc_cli.core.tagging.shards.shard import Job, Shards, options_of
from eufcc_cli.core.tagging.shards.shard_inputs import plan_lines
from eufcc_cli.core.tagging.tagger import Tagger
from tests.benchmarks.tag import make_run

SHARDS = 500


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder))
        make_run(root, "convnext_mini", 32)
        (root.path / "pictures").mkdir()
        for number in range(SHARDS):
            Image.new("RGB", (32, 32), (number % 256, 0, 0)).save(root.path / "pictures" / f"{number:03}.png")
        tagger = Tagger([load_model("convnext_mini", root, "cpu")], Choice(top=1), root)
        for engine in ("local", "ray"):
            job = Job(str(root.path / engine), root.path, ("convnext_mini",), Choice(top=1), device="cpu")
            place = Place(job.output)
            lines = plan_lines([str(root.path / "pictures")])
            plan = make_plan(place, lines, 1, "jsonl", tagger.name, options_of(tagger, job))
            shards = Shards(job, plan, tagger)
            began, first = time.perf_counter(), 0.0
            numbers = left(plan, place)
            found = (
                map(shards.tag, numbers) if engine == "local" else run_on_ray(job, plan, numbers, None, 60)
            )
            for done in found:
                first = first or time.perf_counter() - began
                assert done.problem is None
            each = (time.perf_counter() - began - first) / (SHARDS - 1)
            print(f"{engine:<6} first shard {first:6.2f} s, then {1000 * each:6.1f} ms each", flush=True)


if __name__ == "__main__":
    main()
