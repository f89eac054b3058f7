"""The review page's server: on this machine only, for users who have the page's URL."""

import secrets
import socket
import webbrowser

import uvicorn

from eufcc_cli.core.tagging.review.endpoints import ReviewApi
from eufcc_cli.core.tagging.review.guard import Guard
from eufcc_cli.core.tagging.review.review_state import Review
from eufcc_cli.core.tagging.review.thumbnails import Pictures
from eufcc_cli.core.taxonomy.names import Names

HOST = "127.0.0.1"


class ReviewServer:
    """Serves a review on a free port of this machine.

    The URL holds a random token, without which nothing is answered.
    """

    def __init__(self, review: Review, names: Names, pictures: Pictures) -> None:
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self._socket.listen(128)  # before anyone knows the URL
        self._token = secrets.token_urlsafe(24)
        port = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{port}/{self._token}/"
        app = Guard(ReviewApi(review, names, pictures).routes(self._token), self._token, HOST, port)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            ws="none",
            loop="asyncio",
            http="h11",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)

    def serve(self, *, browser: bool = False) -> None:
        """Answer requests until Ctrl-C or `stop`; with `browser`, open the page as well.

        Raises KeyboardInterrupt after a Ctrl-C, when all that was under way is finished.
        """
        if browser:
            webbrowser.open(self.url)
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End `serve`; may be called from another thread."""
        self._server.should_exit = True
