"""Serves a page to one person on the machine itself.

The server listens on the loopback address, the page's address contains a random token, and requests for another host or from
another site are refused, so that no web page in the same browser can read or change anything. Pages need no JavaScript.
"""

import hmac
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Generic, TypeVar

from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

HOST = "127.0.0.1"
_MAX_BYTES = 8 << 20
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer`, browsers would send the origin of forms as `null`.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """How a page is reached.

    Attributes:
        token: secret part of the address.
        port: port on which it is served.
        close: ends the server.
    """

    token: str
    port: int
    close: Callable[[], None]


class LocalPage(ABC):
    """WSGI application of a page; subclasses answer the requests that may be answered.

    Args:
        access: how the page is reached.
    """

    def __init__(self, access: Access):
        self.access = access

    @property
    def token(self) -> str:
        """Secret part of the address."""
        return self.access.token

    @property
    def port(self) -> int:
        """Port on which the page is served."""
        return self.access.port

    @property
    def base(self) -> str:
        """Path of the page, without the last slash."""
        return f"/{self.token}"

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        return f"http://{HOST}:{self.port}{self.base}/"

    @abstractmethod
    def respond(self, request: Request, path: str) -> Response | None:
        """Answer a GET or POST request; None: the page has no such path.

        Args:
            request: a request that passed the checks.
            path: its path below the token.
        """

    @property
    @abstractmethod
    def closing_message(self) -> str:
        """Text that is shown after the page was closed."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        request = Request(environ)
        request.max_content_length = request.max_form_memory_size = _MAX_BYTES
        try:
            response = self._checked(request)
        except HTTPException as error:
            response = plain_text(error.description or error.name, error.code or 400)
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _checked(self, request: Request) -> Response:
        hosts = {f"{HOST}:{self.port}", f"localhost:{self.port}"}
        if request.headers.get("Host") not in hosts:
            return plain_text("This page is only served to a browser on the same machine.", 403)
        prefix, _, path = request.path.lstrip("/").partition("/")
        if not hmac.compare_digest(prefix.encode(), self.token.encode()):
            return plain_text("Not found. Use the whole address that the command printed.", 404)
        if request.method == "POST" and request.headers.get("Origin") not in {f"http://{host}" for host in hosts}:
            return plain_text("The form was sent from another page. Open the address that the command printed.", 403)
        match request.method, path:
            case "GET", "style.css":
                return Response(self.style(), mimetype="text/css")
            case "POST", "close":
                Thread(target=self.access.close, daemon=True).start()
                return plain_text(self.closing_message, 200)
            case "GET" | "POST", _:
                return self.respond(request, path) or plain_text("Not found.", 404)
        return plain_text("Expected GET or POST.", 405)

    def style(self) -> str:
        """The style sheet that all pages share."""
        return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


P = TypeVar("P", bound=LocalPage)


class LocalServer(Generic[P]):
    """Server of one page, on a free port.

    Args:
        make_page: makes the page.

    Attributes:
        page: the page.
    """

    def __init__(self, make_page: Callable[[Access], P]):
        def answer(environ: Any, start_response: Any) -> Any:
            return self.page(environ, start_response)

        self._server: BaseWSGIServer = make_server(HOST, 0, answer, threaded=True, request_handler=_Quiet)
        self.page = make_page(Access(secrets.token_urlsafe(24), self._server.server_port, self.close))

    def serve(self) -> None:
        """Serve until the page is closed or the process is interrupted."""
        try:
            self._server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            self._server.server_close()

    def close(self) -> None:
        """End `serve`."""
        self._server.shutdown()


class _Quiet(WSGIRequestHandler):
    """Logs no requests: their addresses contain the token."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


def plain_text(text: str, status: int) -> Response:
    """A response of one line."""
    return Response(text + "\n", status=status, mimetype="text/plain")
