"""Serves the onboarding page on the loopback address."""

import secrets
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from crm_spark.onboarding.page.app import HOST, Onboarding, Page


class _Quiet(WSGIRequestHandler):
    """Logs no requests: their addresses contain the token."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


class PageServer:
    """Server of the onboarding page, on a free port.

    Attributes:
        page: the page.
    """

    def __init__(self, onboarding: Onboarding):
        def answer(environ: Any, start_response: Any) -> Any:
            return self.page(environ, start_response)

        self._server: BaseWSGIServer = make_server(HOST, 0, answer, threaded=True, request_handler=_Quiet)
        self.page = Page(onboarding, secrets.token_urlsafe(24), self._server.server_port, self.close)

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
