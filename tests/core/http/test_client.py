"""The polite client: retries, redirects and limits, and what never leaves for another host."""

import asyncio
import gzip
import io
import json
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.http import addresses, connections
from eufcc_cli.core.http.addresses import is_public
from eufcc_cli.core.http.client import Answer, Client, Politeness, web_url
from eufcc_cli.core.http.politeness import FetchError, rate_limit_wait, retry_after
from tests.servers import Misbehaving, misbehaving_server
from tests.servers.misbehaving import picture

QUICK = Politeness(per_host=4, rate=0, retries=2, timeout=60, backoff=0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    with misbehaving_server() as server:
        yield server


def ask(
    use: Callable[[Client], Awaitable[Answer]],
    politeness: Politeness = QUICK,
    allowed: Callable[[str], bool] = lambda address: True,
) -> Answer:
    async def run() -> Answer:
        async with Client(politeness, address_allowed=allowed) as client:
            return await use(client)

    return asyncio.run(run())


def test_an_answer_is_had_in_the_end(server: Misbehaving) -> None:
    for behaviour in ("ok/h", "500-once/h", "reset-once/h", "gzip/h"):
        answer = ask(lambda client, behaviour=behaviour: client.get(server.url(behaviour)))
        assert (answer.status, answer.content) == (200, picture(f"/{behaviour}"))


def test_a_body_goes_into_a_file_and_begins_anew_after_a_failure(server: Misbehaving) -> None:
    server.forget()
    file = io.BytesIO(b"what was there before")
    answer = ask(lambda client: client.get(server.url("reset-once/h"), to=file))
    assert answer.content == b""
    assert file.getvalue() == picture("/reset-once/h")


def test_final_answers_are_given_with_their_message(server: Misbehaving) -> None:
    server.forget()
    answer = ask(lambda client: client.get(server.url("404/h")))
    assert (answer.status, answer.content) == (404, b"no")
    assert len(server.log()["times"]["/404/h"]) == 1


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("500/h", "server-error", "HTTP 500"),
        ("silent/h", "timeout", "no data for 1 s"),
        ("loop/h", "server-error", "redirects"),
        ("to-file/h", "blocked", "only http and https"),
        ("bomb/h", "too-large", "more than 1,000,000 bytes"),
    ],
)
def test_no_answer_is_an_error(server: Misbehaving, path: str, status: str, reason: str) -> None:
    politeness = replace(QUICK, timeout=1) if status == "timeout" else QUICK
    with pytest.raises(FetchError, match=reason) as error:
        ask(lambda client: client.get(server.url(path), max_bytes=1_000_000), politeness)
    assert error.value.status == status


def test_a_private_address_is_refused_on_the_connection(server: Misbehaving) -> None:
    """Also behind a redirect from an address that is allowed; and nothing is sent there."""
    server.forget()

    def get(url: str) -> None:
        ask(lambda client: client.get(url), allowed=lambda address: address == "127.0.0.1")

    get(server.url("ok/h"))
    for url in (server.url("ok/h", 2), server.url("to-host/2/ok/h")):
        with pytest.raises(FetchError, match=r"127\.0\.0\.2 has a private IP address"):
            get(url)
    with pytest.raises(FetchError, match="has a private IP address") as error:
        ask(lambda client: client.get(f"http://localhost:{server.port}/ok/h"), allowed=is_public)
    assert error.value.status == "blocked"
    assert list(server.log()["times"]) == ["/ok/h", "/to-host/2/ok/h"]


def test_a_name_is_connected_to_at_the_address_that_was_checked(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that tells another address the second time (rebinding) gains nothing by it."""
    import socket

    asked = []

    def resolve(host: str, port: int, **options: object) -> list[object]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("eufcc_cli.core.http.addresses.socket.getaddrinfo", resolve)
    answer = ask(
        lambda client: client.get(f"http://rebinding.example:{server.port}/ok/h"),
        allowed=lambda address: address == "127.0.0.1",
    )
    assert answer.status == 200
    assert asked == ["rebinding.example"]


def test_credentials_and_cookies_stay_with_their_host(server: Misbehaving) -> None:
    async def ask_all(client: Client) -> Answer:
        headers = {"X-Api-Key": "secret", "Authorization": "Bearer secret"}
        assert json.loads((await client.get(server.url("whoami"), headers=headers)).content) == {
            "authorization": "bearer secret", "x-api-key": "secret", "cookie": None,
        }  # fmt: skip
        return await client.get(
            f"http://user:secret@127.0.0.1:{server.port}/to-host/2/whoami", headers=headers
        )

    told = json.loads(ask(ask_all).content)
    assert told == {"authorization": None, "x-api-key": None, "cookie": None}


def test_a_proxy_of_the_environment_is_used_only_where_any_address_may_be(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url(""))
    answer = ask(
        lambda client: client.get("http://behind.invalid/ok/proxied"),
        replace(QUICK, allow_private_hosts=True),
    )
    assert answer.content == picture("/ok/proxied")
    with pytest.raises(FetchError):
        ask(
            lambda client: client.get("http://behind.invalid/ok/proxied"),
            replace(QUICK, retries=0, timeout=1),
        )


def test_idle_connections_are_used_again_and_not_hoarded(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MOST_KEPT", 3)
    opened = []
    connect = addresses.CheckedBackend.connect_tcp

    def counted(*where: object, **options: object) -> object:
        opened.append(where)
        return connect(*where, **options)

    monkeypatch.setattr(addresses.CheckedBackend, "connect_tcp", counted)

    async def ask_all(client: Client) -> Answer:
        for _ in range(5):
            await client.get(server.url("ok/idle"))
        assert len(opened) == 1
        for host in (2, 3, 4, 5):
            await client.get(server.url("ok/idle", host))
        await client.get(server.url("ok/idle", 5))
        assert len(opened) == 5
        return await client.get(server.url("ok/idle", 1))  # closed meanwhile, to make room

    assert ask(ask_all).status == 200
    assert len(opened) == 6


@pytest.mark.parametrize(
    ("first", "then", "waits"),
    [
        (None, "hang-up-once/fresh", True),
        (None, "reset-once/fresh", True),
        ("ok/kept", "hang-up-once/kept", False),
        ("ok/kept", "reset-once/kept", True),
    ],
)
def test_only_a_kept_connection_that_ended_is_no_failure(
    server: Misbehaving, first: str | None, then: str, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.forget()
    delays: list[float] = []
    delay = Client.retry_delay

    def noted(client: Client, error: FetchError, tried: int) -> float:
        delays.append(delay(client, error, tried))
        return 0.0

    monkeypatch.setattr(Client, "retry_delay", noted)

    async def ask_both(client: Client) -> Answer:
        if first is not None:
            await client.get(server.url(first, 6))
        return await client.get(server.url(then, 6))

    assert ask(ask_both, replace(QUICK, backoff=60)).status == 200
    assert len(server.log()["times"][f"/{then}"]) == 2
    assert [delay >= 30 for delay in delays] == [waits]


def test_retry_after_as_a_date() -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90)
    wait = retry_after({"retry-after": format_datetime(later, usegmt=True)})
    assert wait is not None
    assert (later - datetime.now(UTC)).total_seconds() <= wait <= 90
    assert retry_after({"retry-after": format_datetime(later - timedelta(days=1), usegmt=True)}) == 0
    assert retry_after({}) is retry_after({"retry-after": "soon"}) is None
    for year, zone in (("9" * 20, "GMT"), ("2029", f"+{'9' * 14}")):
        assert retry_after({"retry-after": f"Mon, 01 Jan {year} 00:00:00 {zone}"}) is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"ratelimit": "limit=100, remaining=0, reset=7"}, 7.0),
        ({"ratelimit": "limit=100, remaining=3, reset=7"}, None),
        ({"ratelimit": '"burst";r=0'}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "12"}, None),
        ({"x-ratelimit-remaining": "none", "x-ratelimit-reset": "?"}, None),
        ({"ratelimit": f"r={'0' * 5000};t=1"}, 1.0),
        ({"x-ratelimit-remaining": "0" * 5000, "x-ratelimit-reset": "1"}, 1.0),
    ],
)
def test_rate_limit_headers(headers: dict[str, str], wait: float | None) -> None:
    assert rate_limit_wait(headers) == wait


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_whatever_a_header_holds_is_no_accident(value: str) -> None:
    for name in ("retry-after", "ratelimit", "x-ratelimit-reset"):
        headers = {name: value, "x-ratelimit-remaining": "0"}
        for wait in (retry_after(headers), rate_limit_wait(headers)):
            assert wait is None or wait >= 0


@given(st.text(max_size=80))
def test_whatever_a_table_calls_an_address(text: str) -> None:
    try:
        address = web_url(text)
    except FetchError as error:
        assert error.status == "blocked"
    else:
        assert address.scheme in ("http", "https")
        assert address.host


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
     "64:ff9b::a00:1", "2002:a00:1::", "192.0.2.1", "198.18.0.1", "64:ff9b:1::7f00:1", "fec0::1",
     "::127.0.0.1", "::ffff:0:127.0.0.1", "192.0.0.8", "192.88.99.1", "3fff::1", "5f00::1"],
)  # fmt: skip
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "185.199.108.133", "2606:50c0:8000::153", "64:ff9b::808:808"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


HTTP2_SERVER = """
import asyncio, itertools, ssl, sys
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

counted = itertools.count(1)

async def serve(reader, writer):
    number = next(counted)
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, RequestReceived):
                path = dict(event.headers)[b":path"]
                connection.send_headers(event.stream_id, [(":status", "200")])
                body = b"over h2: %s, connection %d" % (path, number)
                connection.send_data(event.stream_id, body, end_stream=True)
        writer.write(connection.data_to_send())

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_http2_is_spoken_where_it_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "server.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", certificate, "-days", "2",
         "-out", tmp_path / "ca.pem", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    certificate.write_text(certificate.read_text() + (tmp_path / "ca.pem").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    process = subprocess.Popen(
        [sys.executable, "-c", HTTP2_SERVER, certificate], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        async def ask_twice(client: Client) -> Answer:
            await client.get(f"https://127.0.0.1:{port}/a")
            await asyncio.sleep(0.2)
            return await client.get(f"https://127.0.0.1:{port}/b")

        answer = ask(ask_twice)
        assert (answer.status, answer.content) == (200, b"over h2: /b, connection 1")
        monkeypatch.setattr(connections, "_SECONDS_KEPT", 0.1)  # idle for too long then
        assert ask(ask_twice).content == b"over h2: /b, connection 3"
    finally:
        process.kill()
        process.wait()
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


def answering(*answers: bytes, then: bytes = b"", after: float = 0) -> Callable[..., Awaitable[Answer]]:
    """A client's use of a server that gives these raw answers on every connection, one a request.

    Behind each it sends `then`, so many seconds `after`; the client waits for longer.
    """

    async def use(client: Client) -> Answer:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer if after else answer + then)
                if after:
                    await asyncio.sleep(after)
                    writer.write(then)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for number in range(len(answers)):
                answer = await client.get(f"http://127.0.0.1:{port}/{number}", max_bytes=1_000_000)
                await asyncio.sleep(2 * after)
            return answer

    return use


def zipped(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + body


def test_compressed_members_are_read_one_after_the_other_and_what_follows_is_left() -> None:
    member = gzip.compress(b"picture ")
    assert ask(answering(zipped(member + member))).content == b"picture picture "
    assert ask(answering(zipped(member + bytes(900_000)))).content == b"picture "
    assert ask(answering(zipped(b""))).content == b""


def test_compressed_bytes_count_too() -> None:
    with pytest.raises(FetchError) as caught:
        ask(answering(zipped(gzip.compress(b"") * 100_000)))
    assert caught.value.status == "too-large"


@pytest.mark.parametrize("after", [0, 0.1])
def test_what_nobody_asked_for_is_no_answer_to_the_next_request(after: float) -> None:
    """A second answer, in the same breath or later, which the next request would take for its own."""
    first, second = (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body for body in (b"1", b"2"))
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"
    assert ask(answering(first, second, then=stray, after=after)).content != b"!"


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "ftp://127.0.0.1:1")
    with pytest.raises(CollectError, match="http_proxy"):
        Client(replace(QUICK, allow_private_hosts=True))
    monkeypatch.setenv("http_proxy", "127.0.0.1:3128")
    Client(replace(QUICK, allow_private_hosts=True))
