"""GET within the limits of one table: a whole body in bounded time and memory, or a typed error.

``requests`` does the protocol (pooling, TLS, proxies of the environment, decompression). This
module adds what it has not: one deadline over all requests of a table, retries that include a
body that breaks off, a limit on decompressed bytes, and a list of one host that may be asked.
"""

import importlib.metadata
import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import NoReturn, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests import exceptions as failures
from urllib3.exceptions import DecodeError, HTTPError, InvalidHeader, NewConnectionError
from urllib3.util.retry import Retry

from btg.errors import SourceAnswerError, SourceUnreachableError
from btg.settings import Settings
from btg.sources.hosts import Address, HostState, describe

log = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK_BYTES = 65_536
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SPEAKS_FOR_THE_QUESTION = frozenset({500, 501})
"""Statuses with which this service refuses a question; they say nothing about the host."""


@dataclass(frozen=True)
class Limits:
    """How patient to be with one table; times in seconds, bytes after decompression."""

    connect_timeout_s: float = 2.5
    read_timeout_s: float = 10.0
    retries: int = 2
    deadline_s: float = 900.0
    max_bytes: int = 150_000_000
    max_requests: int = 500
    max_redirects: int = 3
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0

    @classmethod
    def of(
        cls, settings: Settings, retries: int | None = None, timeout_s: float | None = None
    ) -> "Limits":
        """Return the limits of the settings, with a table's own patience where it has one."""
        return cls(
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.timeout_s if timeout_s is None else timeout_s,
            retries=settings.retries if retries is None else retries,
            deadline_s=settings.deadline_s,
            max_bytes=settings.max_bytes,
        )


@dataclass(frozen=True)
class Answer:
    """One whole answer with status 200."""

    url: str
    content_type: str
    body: bytes


class PassingError(Exception):
    """A fault that another attempt may cure; ``is_answer`` when the host did send something."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        is_answer: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.is_answer = is_answer


class Transport:
    """The requests of one table to one host, under one deadline and one budget of bytes."""

    def __init__(
        self,
        table: str,
        base_url: str,
        limits: Limits,
        hosts: HostState,
        session: requests.Session,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.table = table
        self.limits = limits
        self._base = urlsplit(base_url)
        self._address = address_of(base_url)
        self._hosts = hosts
        self._session = session
        self._clock = clock
        self._sleep = sleep
        self._ends_at = clock() + limits.deadline_s
        self._bytes_left = limits.max_bytes
        self._requests_left = limits.max_requests
        self._has_answered = False

    def renew_bytes(self) -> None:
        """Grant the full budget of bytes and requests again, for a table read anew."""
        self._bytes_left = self.limits.max_bytes
        self._requests_left = self.limits.max_requests

    def get(
        self, url: str, where: str, read: Callable[[Answer], T], attempts: int | None = None
    ) -> T:
        """Return ``read(answer)`` of the first sound answer of ``url``.

        ``read`` raises ``PassingError`` for a body that is damaged on the way. Raises
        ``SourceUnreachableError`` or ``SourceAnswerError``, both naming table and ``where``.
        """
        url = self.allowed(url, where)
        self._check_budget(where)
        self._reach(where)
        allowed_attempts = self.limits.retries + 1 if attempts is None else attempts
        attempt = 1
        while True:
            try:
                answer = self._follow(url, where)
                value = read(answer)
            except PassingError as fault:
                if attempt >= allowed_attempts:
                    self._give_up(fault, where, attempt)
                self._pause(fault, where, attempt)
                attempt += 1
            else:
                self._has_answered = True
                self._bytes_left -= len(answer.body)
                return value

    def allowed(self, url: str, where: str) -> str:
        """Return ``url`` when it is on the host of this table, else raise; http becomes https.

        The service is known to write http addresses in https answers: these are asked over https.
        """
        try:
            parts = urlsplit(url)
            if parts.scheme == "http" and self._base.scheme == "https" and parts.port in (None, 80):
                parts = parts._replace(scheme="https", netloc=parts.netloc.removesuffix(":80"))
            address = address_of(parts.geturl())
        except ValueError:
            self._refuse(where, f"{url[:120]!r} is not the address of a service")
        if "@" in parts.netloc:
            self._refuse(where, "the answer points to an address with a user name")
        if (parts.scheme, address) in (
            (self._base.scheme, self._address),
            ("https", (self._address[0], DEFAULT_PORTS["https"])),
        ):
            return parts.geturl()
        self._refuse(
            where,
            f"the answer points to another host: expected {self._base.scheme}://"
            f"{_name(self._address)}, found {parts.scheme}://{_name(address)}",
        )

    def _follow(self, url: str, where: str) -> Answer:
        """Return the answer of ``url``, following a few redirects on the same host."""
        for _ in range(self.limits.max_redirects + 1):
            started_at = self._clock()
            with closing(self._send(url, where)) as response:
                if response.status_code not in REDIRECTS:
                    answer = self._receive(response, where)
                    self._log(url, response.status_code, len(answer.body), started_at)
                    return answer
                self._log(url, response.status_code, 0, started_at)
                target = response.headers.get("Location", "")
            if not target:
                self._refuse(where, f"HTTP {response.status_code} without a place to go to")
            url = self.allowed(urljoin(url, target), f"{where}, redirected")
        self._refuse(
            where,
            f"redirected more than {self.limits.max_redirects} times (a loop?), "
            f"last to {urlsplit(url).path}",
        )

    def _send(self, url: str, where: str) -> requests.Response:
        """Return the response with its body unread; a failure is final or a ``PassingError``."""
        read_timeout_s = min(self.limits.read_timeout_s, self._time_left(where))
        try:
            return self._session.send(
                requests.Request("GET", url, headers=HEADERS).prepare(),
                allow_redirects=False,
                timeout=(self.limits.connect_timeout_s, read_timeout_s),
                **self._session.merge_environment_settings(url, {}, True, True, None),
            )
        except failures.SSLError as error:
            self._host_is_down(f"no trusted connection: {_innermost(error)}")
        except failures.ProxyError as error:
            self._host_is_down(f"the proxy of the environment fails: {_innermost(error)}")
        except failures.ConnectTimeout:
            self._host_is_down(f"no connection within {self.limits.connect_timeout_s:g} s")
        except failures.ReadTimeout:
            self._time_left(where)
            raise PassingError(f"no answer within {read_timeout_s:g} s") from None
        except failures.ConnectionError as error:
            if _never_connected(error):
                self._host_is_down(describe(_innermost(error)))
            raise PassingError(f"the connection broke ({_innermost(error)})") from None
        except (failures.RequestException, HTTPError) as error:
            self._refuse(where, f"not a usable HTTP exchange ({_innermost(error)})")

    def _receive(self, response: requests.Response, where: str) -> Answer:
        """Return the whole body of a response with status 200, within bytes and time."""
        status = response.status_code
        if status == 429 or status >= 500:
            raise PassingError(
                f"HTTP {status} {response.reason}",
                status=status,
                retry_after_s=_retry_after(response.headers.get("Retry-After")),
            )
        if status != 200:
            self._refuse(where, f"expected HTTP 200, found {status} {response.reason}")
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > self._bytes_left:
            self._too_big(where)
        return Answer(
            url=response.url,
            content_type=response.headers.get("Content-Type", "none"),
            body=self._body(response, where),
        )

    def _body(self, response: requests.Response, where: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
                size += len(chunk)
                if size > self._bytes_left:
                    self._too_big(where)
                self._time_left(where)
                chunks.append(chunk)
        except DecodeError:
            raise PassingError("the compressed body is damaged", is_answer=True) from None
        except (HTTPError, OSError) as error:
            self._time_left(where)
            raise PassingError(
                f"the body broke off after {size:,} bytes ({_innermost(error)})"
            ) from None
        return b"".join(chunks)

    def _pause(self, fault: PassingError, where: str, attempt: int) -> None:
        """Wait before the next attempt: growing, or as long as the service asks for."""
        delay_s = min(self.limits.first_delay_s * 2 ** (attempt - 1), self.limits.longest_delay_s)
        if fault.retry_after_s is not None:
            delay_s = max(delay_s, fault.retry_after_s)
        left_s = self._time_left(where)
        if delay_s >= left_s:
            self._unreachable(
                where,
                f"{fault}; the next attempt would be in {delay_s:.0f} s, after the deadline of "
                f"this table ({left_s:.0f} s left)",
            )
        log.debug("%s: %s of %s; again in %.1f s", self.table, fault, where, delay_s)
        self._sleep(delay_s)

    def _give_up(self, fault: PassingError, where: str, attempts: int) -> NoReturn:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        if fault.is_answer:
            self._refuse(where, f"{fault}, after {times}")
        self._unreachable(
            where, f"{fault}, after {times}", fault.status not in SPEAKS_FOR_THE_QUESTION
        )

    def _unreachable(self, where: str, message: str, speaks_for_host: bool = True) -> NoReturn:
        """Fail for good; a host that has not answered this table once is given up altogether.

        A failure halfway through a large table is the table's: others may still be read.
        """
        if speaks_for_host and not self._has_answered:
            self._hosts.mark_down(self._address, message)
        raise SourceUnreachableError(
            self.table, f"{where} of {_name(self._address)} was not received: {message}"
        )

    def _host_is_down(self, reason: str) -> NoReturn:
        self._hosts.mark_down(self._address, reason)
        raise SourceUnreachableError(
            self.table, f"{_name(self._address)} cannot be reached: {reason}"
        )

    def _reach(self, where: str) -> None:
        """Raise unless the host may be asked; the first call of a run tries it in bounded time."""
        reason = self._hosts.why_down(self._address)
        if reason is not None:
            raise SourceUnreachableError(
                self.table,
                f"{_name(self._address)} was given up earlier in this run: {reason}",
            )
        base_url = self._base.geturl()
        proxies = self._session.merge_environment_settings(base_url, {}, True, True, None)
        if requests.utils.select_proxy(base_url, proxies["proxies"]):
            return
        limit_s = min(self.limits.connect_timeout_s, self._time_left(where))
        reason = self._hosts.reach(self._address, limit_s)
        if reason is not None:
            self._host_is_down(reason)

    def _time_left(self, where: str) -> float:
        """Return the seconds left for this table; raises when there are none."""
        left_s = self._ends_at - self._clock()
        if left_s <= 0:
            self._unreachable(
                where, f"the table was not complete within {self.limits.deadline_s:g} s"
            )
        return left_s

    def _check_budget(self, where: str) -> None:
        if self._requests_left <= 0:
            self._refuse(
                where,
                f"the table takes more than {self.limits.max_requests} requests: expected pages "
                "of 10 000 rows",
            )
        self._requests_left -= 1

    def _too_big(self, where: str) -> NoReturn:
        self._refuse(
            where,
            f"the answer is larger than expected: stopped at {self.limits.max_bytes:,} bytes "
            "for this table (BTG_MAX_BYTES)",
        )

    def _refuse(self, where: str, message: str) -> NoReturn:
        raise SourceAnswerError(self.table, f"{where}: {message}")

    def _log(self, url: str, status: int, size: int, started_at: float) -> None:
        log.debug(
            "GET %s: %d, %d bytes, %.2f s",
            urlsplit(url).path,
            status,
            size,
            self._clock() - started_at,
        )


def address_of(url: str) -> Address:
    """Return host and port of an http(s) address; raises ``ValueError`` for anything else."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        raise ValueError(f"{url!r} is not an http address")
    return parts.hostname, port


def _name(address: Address) -> str:
    host, port = address
    return host if port in DEFAULT_PORTS.values() else f"{host}:{port}"


def _headers() -> dict[str, str]:
    try:
        version = importlib.metadata.version("btg")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    return {
        "User-Agent": f"btg/{version} (+regional statistics; polite client)",
        "Accept": "application/json, text/plain;q=0.5",
        "Accept-Encoding": "gzip",
        "Connection": "keep-alive",
    }


HEADERS = _headers()


def _retry_after(header: str | None) -> float | None:
    """Return the seconds that Retry-After asks for (a number or a date), None if unreadable."""
    if header is None:
        return None
    try:
        return Retry().parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _never_connected(error: failures.ConnectionError) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)


def _innermost(error: BaseException) -> BaseException:
    """Return the error at the bottom of the wrappings of requests and urllib3."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__
        if inner is None:
            return error
        error = inner
