"""Records of Europeana's dumps (EDM in ZIP) into a table with splits: records in a second, memory.

python -m tests.benchmarks.dumps [RECORDS]

A local server stands for the services that know the concepts. The whole open collection of EUFCC-340K has
346,000 records.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.core.harvest.test_dumps import as_edm
from tests.servers.europe import europe
from tests.servers.europeana import KEY

RECORDS = 20_000
_WHOLE = 346_000
_HARVEST = """
import resource, sys, time
from pathlib import Path
from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.dataset.splits.split_files import write_splits
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest.dumps import DumpFilter, harvest_dumps
from eufcc_cli.core.harvest.harvesting import Servers
dump, root, base = Path(sys.argv[1]), Root(Path(sys.argv[2])), sys.argv[3]
servers = Servers(f"{base}/record/v2", f"{base}/entity", f"{base}/sparql.json", f"{base}/thumbnail")

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

begin = spent()
output = root.data / "t.csv"
done = harvest_dumps(
    root, [dump], output, DumpFilter(reusability="all"), key=sys.argv[4], servers=servers
)
table = spent()
write_splits(root, output, Shares(min_count=3))
print(done.images, table[0] - begin[0], spent()[0] - table[0], table[1], spent()[1])
"""


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    print("records   table   splits   records/s   all 346,000   memory of the table, with splits")
    with tempfile.TemporaryDirectory() as folder, europe(most, Path(folder)) as server:
        for records in (most // 4, most):
            dump = Path(folder, f"{records}.zip")
            with zipfile.ZipFile(dump, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for number in range(1, records + 1):
                    archive.writestr(f"{number}.xml", as_edm(number, server.base))
            arguments = [
                sys.executable,
                "-c",
                _HARVEST,
                dump,
                Path(folder, f"root{records}"),
                server.base,
                KEY,
            ]
            printed = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
            images, table, splits, memory, peak = map(float, printed.split())
            minutes = (table + splits) * _WHOLE / images / 60
            print(
                f"{images:7,.0f} {table:5.1f} s {splits:6.1f} s {images / (table + splits):11,.0f} "
                f"{minutes:9.1f} min {memory:14.0f} MB {peak:12.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
