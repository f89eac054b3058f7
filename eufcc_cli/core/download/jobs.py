"""Images in progress: the candidates of each, and the attempts so far."""

from dataclasses import dataclass

import httpx

from eufcc_cli.core.download.candidates import Candidate
from eufcc_cli.core.download.ledger import Entry
from eufcc_cli.core.http.politeness import FetchError


@dataclass(slots=True)
class Job:
    """An image in progress: the candidates to try, and the attempts so far."""

    row: int
    id: str
    candidates: list[Candidate]
    candidate: int = 0
    url: httpx.URL | None = None  # of the candidate, or of its redirects
    redirects: int = 0
    tried: int = 0  # requests for this URL
    attempts: int = 0  # requests for this image
    restarted: bool = False  # because an idle connection had been closed
    temporary: FetchError | None = None  # an earlier candidate's failure, if a retry may help
    digest: str | None = None  # of the candidate's body

    def next_candidate(self) -> bool:
        """Switch to the next candidate; False if this was the last."""
        if self.candidate + 1 == len(self.candidates):
            return False
        self.candidate += 1
        self.url, self.redirects, self.tried, self.digest = None, 0, 0, None
        return True

    def entry(self, status: str, http: int | None, reason: str | None = None) -> Entry:
        name, url = self.candidates[self.candidate]
        return Entry(self.id, status, url, name, http, reason, self.attempts, source_sha256=self.digest)
