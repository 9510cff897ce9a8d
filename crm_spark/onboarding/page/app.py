"""The onboarding page: shows drafts with their preview, and saves what a person confirms or changes."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.wrappers import Request, Response

from crm_spark.core.errors import ConfigError
from crm_spark.core.failures import describe
from crm_spark.local_page.server import Access, LocalPage
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


class Page(LocalPage):
    """WSGI application of the onboarding page.

    Args:
        onboarding: drafts.
        access: how the page is reached.

    Attributes:
        is_updating: whether the preview is being computed.
    """

    def __init__(self, onboarding: Onboarding, access: Access):
        super().__init__(access)
        self.onboarding = onboarding
        self.is_updating = False
        self._lock = threading.Lock()
        self._sent: Sent = {}  # the form that was saved last

    @property
    def closing_message(self) -> str:
        """Text that is shown after the page was closed."""
        return f"The page is closed. The drafts are in {self.onboarding.folder.path}"

    def respond(self, request: Request, path: str) -> Response | None:
        """Show the page, or save its form."""
        match request.method, path:
            case "GET", "":
                return self._show(Reviewed(self.onboarding.first), self._sent or self._recommended(), "")
            case "POST", "save":
                with self._lock:
                    return self._save(request)
        return None

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
            base=self.base,
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


_TEMPLATES = Environment(
    loader=PackageLoader("crm_spark.onboarding.page", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_TEMPLATES.filters["json"] = json.dumps
