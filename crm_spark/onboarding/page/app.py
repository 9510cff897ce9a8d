"""The onboarding page: shows drafts with their preview, and saves what a person confirms or changes.

It serves one person on the machine itself: it listens on the loopback address, its address contains a random token, and requests
for another host or from another site are refused, so that no web page in the same browser can read or change anything.
"""

import hmac
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from crm_spark.core.errors import ConfigError
from crm_spark.core.failures import describe
from crm_spark.onboarding.answers import COMPANY, answers_yaml
from crm_spark.onboarding.company_draft import CompanyDraft
from crm_spark.onboarding.page.drafts_folder import DraftsFolder
from crm_spark.onboarding.page.form import (
    DECISION,
    OTHER,
    ROLE,
    ColumnInfo,
    Reviewed,
    Sent,
    drafted_source,
    field_name,
    reviewed,
    text_of,
)
from crm_spark.onboarding.page.roles import every_role, roles_of
from crm_spark.onboarding.preview import Preview

HOST = "127.0.0.1"
_MAX_BYTES = 8 << 20
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer`, browsers would send the origin of forms as `null`.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass
class Onboarding:
    """What the page shows and changes.

    Attributes:
        folder: folder of the drafts.
        first: drafts before any answer.
        columns: drafted file of each source -> its columns.
        make_preview: computes the preview of the folder; None: the page has none.
        preview: the last preview; None: not computed yet.
    """

    folder: DraftsFolder
    first: CompanyDraft
    columns: Mapping[str, Sequence[ColumnInfo]]
    make_preview: Callable[[], Preview] | None = None
    preview: Preview | None = None


@dataclass
class Page:
    """WSGI application of the onboarding page.

    Attributes:
        onboarding: drafts.
        token: secret part of the address.
        port: port on which it is served.
        close: ends the server.
    """

    onboarding: Onboarding
    token: str
    port: int
    close: Callable[[], None]
    is_updating: bool = False
    """Whether the preview is being computed."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: Sent = field(default_factory=dict)
    """Form that was saved last."""

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        request = Request(environ)
        request.max_content_length = request.max_form_memory_size = _MAX_BYTES
        try:
            response = self._respond(request)
        except HTTPException as error:
            response = _plain(error.description or error.name, error.code or 400)
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        hosts = {f"{HOST}:{self.port}", f"localhost:{self.port}"}
        if request.headers.get("Host") not in hosts:
            return _plain("This page is only served to a browser on the same machine.", 403)
        prefix, _, path = request.path.lstrip("/").partition("/")
        if not hmac.compare_digest(prefix.encode(), self.token.encode()):
            return _plain("Not found. Use the whole address that the command printed.", 404)
        if request.method == "POST" and request.headers.get("Origin") not in {f"http://{host}" for host in hosts}:
            return _plain("The form was sent from another page. Open the address that the command printed.", 403)
        match request.method, path:
            case "GET", "":
                return self._show(Reviewed(self.onboarding.first), self._sent or self._recommended(), "")
            case "GET", "style.css":
                style = Path(__file__).with_name("style.css").read_bytes()
                return Response(style, mimetype="text/css")
            case "POST", "save":
                with self._lock:
                    return self._save(request)
            case "POST", "close":
                threading.Thread(target=self.close, daemon=True).start()
                return _plain("The page is closed. The drafts are in " + str(self.onboarding.folder.path), 200)
            case "GET" | "POST", _:
                return _plain("Not found.", 404)
        return _plain("Expected GET or POST.", 405)

    def _save(self, request: Request) -> Response:
        sent = {name: request.form.getlist(name) for name in request.form}
        result = reviewed(self.onboarding.first, self.onboarding.columns, sent)
        if not result.errors:
            answers = answers_yaml(self.onboarding.first.questions, result.answers)
            try:
                self.onboarding.folder.write({**result.draft.texts, "answers.yaml": answers})
            except ConfigError as error:
                keys = [question for question in self.onboarding.first.questions if question.file == COMPANY]
                wrong = [q for q in keys if f"{q.key}:" in str(error)]
                names = [field_name(DECISION, q.file, q.key, q.text) for q in wrong] or ["page"]
                result.errors |= dict.fromkeys(names, str(error))
        if result.errors:
            return self._show(result, sent, "Nothing was saved: correct the fields that are marked.", status=422)
        self._sent = sent
        self.update_preview()
        return self._show(result, sent, f"Saved in {self.onboarding.folder.path}.")

    def update_preview(self) -> None:
        """Compute the preview again, in the background."""
        make = self.onboarding.make_preview
        if make is None or self.is_updating:
            return
        self.is_updating = True

        def update() -> None:
            try:
                self.onboarding.preview = make()
            except Exception as error:  # the page works without a preview
                self.onboarding.preview = Preview(None, (f"There is no preview: {describe(error)[0]}",))
            finally:
                self.is_updating = False

        threading.Thread(target=update, daemon=True).start()

    def _recommended(self) -> Sent:
        """The form with the roles of the draft and the recommended answers."""
        sent: dict[str, list[str]] = {}
        for file, infos in self.onboarding.columns.items():
            own, _ = roles_of(drafted_source(file, self.onboarding.first.texts[file], origin=file))
            sent |= {field_name(ROLE, file, info.name): sorted(own.get(info.name, ())) for info in infos}
        for question in self.onboarding.first.questions:
            sent[field_name(DECISION, question.file, question.key, question.text)] = [text_of(question.recommended)]
        return sent

    def _show(self, result: Reviewed, sent: Sent, message: str, *, status: int = 200) -> Response:
        shared = {
            file: roles_of(drafted_source(file, self.onboarding.first.texts[file], origin=file))[1]
            for file in self.onboarding.columns
        }
        html = _TEMPLATES.get_template("page.html.j2").render(
            base=f"/{self.token}",
            onboarding=self.onboarding,
            kinds={"role": ROLE, "other": OTHER, "decision": DECISION},
            field_name=field_name,
            sent=sent,
            errors=result.errors,
            shared=shared,
            every_role=every_role(),
            message=message,
            is_updating=self.is_updating,
            text_of=text_of,
        )
        return Response(html, status=status, mimetype="text/html")


def _plain(text: str, status: int) -> Response:
    return Response(text + "\n", status=status, mimetype="text/plain")


_TEMPLATES = Environment(
    loader=PackageLoader("crm_spark.onboarding.page", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_TEMPLATES.filters["json"] = json.dumps
