"""The review page: shows one pair of records after the other, and saves each answer."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.wrappers import Request, Response

from crm_spark.core.context import utc_now
from crm_spark.core.errors import InputError
from crm_spark.core.log import number_of
from crm_spark.local_page.server import Access, LocalPage
from crm_spark.review.pairs import Pair
from crm_spark.stages.resolve.decision_files import DIFFERENT, SAME, append_decision

UNSURE = "unsure"
_MAX_NOTE = 200


class Review:
    """The pairs of one sitting.

    Args:
        pairs: pairs in the order in which they are shown.
        file: file of decisions to which the answers are added.
        decided_by: name of the person who decides.
        now: returns the current time in UTC.

    Attributes:
        num_unsure: pairs that the person was not sure about.
    """

    def __init__(
        self, pairs: Sequence[Pair], file: Path, *, decided_by: str | None, now: Callable[[], datetime] = utc_now
    ):
        self.pairs, self.file, self.decided_by, self._now = pairs, file, decided_by, now
        self._waiting = deque(range(len(pairs)))
        self._decided: list[int] = []
        self.num_unsure = 0

    @property
    def num_decided(self) -> int:
        """Pairs with an answer."""
        return len(self._decided)

    @property
    def current(self) -> int | None:
        """Number of the pair that is shown; None after the last one."""
        return self._waiting[0] if self._waiting else None

    def answer(self, number: str, answer: str, note: str) -> None:
        """Save the answer about the pair that is shown; one about another pair, as of a form sent twice, is ignored.

        Raises:
            InputError: the answer could not be saved; the pair stays.
        """
        if number != str(self.current) or answer not in (SAME, DIFFERENT, UNSURE):
            return
        if answer == UNSURE:
            self.num_unsure += 1
        else:
            self._save(self._waiting[0], answer == SAME, note)
            self._decided.append(self._waiting[0])
        self._waiting.popleft()

    def undo(self) -> None:
        """Undo the last answer of this sitting and show its pair again."""
        if self._decided:
            self._save(self._decided[-1], None, "")
            self._waiting.appendleft(self._decided.pop())

    def _save(self, number: int, is_same: bool | None, note: str) -> None:
        note = " ".join(note.split())[:_MAX_NOTE]
        pair = self.pairs[number]
        append_decision(
            self.file,
            pair.decision(is_same, decided_by=self.decided_by, decided_at=self._now(), note=note or None),
        )


class ReviewPage(LocalPage):
    """WSGI application of the review page.

    Args:
        review: the pairs.
        access: how the page is reached.
    """

    def __init__(self, review: Review, access: Access):
        super().__init__(access)
        self.review = review
        self._lock = threading.Lock()

    @property
    def closing_message(self) -> str:
        """Text that is shown after the page was closed."""
        return f"The page is closed. {number_of(self.review.num_decided, 'decision')} added to {self.review.file}"

    def style(self) -> str:
        """The shared style sheet and the rules of this page."""
        return super().style() + Path(__file__).with_name("style.css").read_text(encoding="utf-8")

    def respond(self, request: Request, path: str) -> Response | None:
        """Show the pair whose turn it is, or save an answer."""
        with self._lock:
            match request.method, path:
                case "GET", "":
                    return self._show()
                case "POST", "answer":
                    form = request.form
                    return self._saved(
                        lambda: self.review.answer(form.get("pair", ""), form.get("answer", ""), form.get("note", ""))
                    )
                case "POST", "undo":
                    return self._saved(self.review.undo)
        return None

    def _saved(self, change: Callable[[], None]) -> Response:
        try:
            change()
        except InputError as error:
            return self._show(str(error), status=500)
        # The address of the page: reloading it sends no form again.
        return Response(status=303, headers={"Location": f"{self.base}/"})

    def _show(self, error: str = "", *, status: int = 200) -> Response:
        review = self.review
        html = _TEMPLATES.get_template("page.html.j2").render(
            base=self.base,
            review=review,
            number=review.current,
            pair=None if review.current is None else review.pairs[review.current],
            max_note=_MAX_NOTE,
            error=error,
        )
        return Response(html, status=status, mimetype="text/html")


_TEMPLATES = Environment(
    loader=PackageLoader("crm_spark.review", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
