"""Standardise e-mail addresses and phone numbers. Plain Python, no Spark."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.stages.clean.texts import tidy

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_ADDRESS = re.compile(r"[^@\s<>,;:\"()]+@(?:\w(?:[\w-]*\w)?\.)+(?:[^\W\d_]{2,}|xn--[a-z0-9-]*[a-z0-9])", re.IGNORECASE)
_NAMED = re.compile(r'^[^<>@]*<\s*(?:mailto:)?([^<>]+?)\s*>$|^"[^"]*"\s*<([^<>]+)>$')
_FURTHER_ADDRESS = re.compile(r";|\||,(?=\s|$)|[,/](?=[^@]*@)|\s+(?:and|or|und|oder|et|ou|y|o)\s+")
"""What stands between two addresses; a comma in `mia@b.com,au` is a typing error."""
_REMARK = re.compile(r"\s*[(\[][^)\]]*[)\]]$")
_EXTENSION = re.compile(r"(?i)[\s,;(]*(?:ext(?:ension)?|x|durchwahl|dw|poste)\.?\s*\d{1,6}\)?\s*$")
_LETTERS = re.compile(r"[^\W\d_]")
_FLOAT = re.compile(r"^\d(?:\.\d+)?[eE]\+?\d+$")
_MIN_DIGITS = 6
"""Fewer digits beside words are no phone number."""
_MIN_FULL_DIGITS = 9
"""Fewer digits beside words without a leading zero or plus may be a customer number."""
_DATE_OR_TIME = re.compile(r"\b(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2}))\b|\b\d{1,2}:\d{2}\b")
_VANITY = re.compile(r"^\+?1?[\s.(-]*\d{3}[\s.)-]*[A-Z0-9-]{7,8}$")


class MailProviders(Config):
    """Spellings of one mailbox by provider, from `conf/domains/mail_providers.yaml`."""

    plus_tags: list[str] = []
    """Domains at which `user+tag` is the mailbox of `user`."""
    ignored_dots: list[str] = []
    """Domains that ignore dots in the user name."""
    same_as: dict[str, str] = {}
    """Domain -> domain with the same mailboxes."""


def load_mail_providers(path: str | None) -> MailProviders:
    """Load the providers from a YAML file; without a file addresses are compared as written.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and the allowed values.
    """
    return MailProviders() if path is None else validated(MailProviders, read_yaml(Path(path)), origin=path)


def email(raw: str | None) -> str | None:
    """E-mail address in lower case, without `mailto:`, display name and remarks; the first of several; None if invalid."""
    if raw is None:
        return None
    text = tidy(raw)
    first = _FURTHER_ADDRESS.split(text, maxsplit=1)[0]
    candidates = (_address(part) for part in (text, first, _REMARK.sub("", first), first.split(" ")[0]))
    return next((address for address in candidates if address is not None), None)


def _address(text: str) -> str | None:
    if (named := _NAMED.match(text)) is not None:
        text = named[1] or named[2]
    elif text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    text = re.sub(r"^mailto:", "", text.strip(), flags=re.IGNORECASE).partition("?")[0].strip(" .")
    return text.lower() if _ADDRESS.fullmatch(text) else None


def email_match(address: str | None, providers: MailProviders) -> str | None:
    """Matching key of a mailbox: with the domain in ASCII, without what the provider ignores.

    Tags are dropped only for providers known to support them: other domains may use `orders+123@` for separate mailboxes.
    """
    if address is None:
        return None
    user, _, domain = address.rpartition("@")
    domain = _ascii(domain)
    if domain in providers.plus_tags:
        user = user.partition("+")[0] or user
    if domain in providers.ignored_dots:
        user = user.replace(".", "") or user
    return f"{user}@{providers.same_as.get(domain, domain)}"


def _ascii(domain: str) -> str:
    """Domain in Punycode (`xn--`), unchanged if it cannot be encoded."""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def e164(raw: str | None, region: str | None) -> str | None:
    """Phone number in E.164 format, or None if invalid in the region.

    Words, dates and extensions are ignored; the first of several numbers is used. Digits that are valid only with a leading
    plus (`491712345678`) are international.
    """
    import phonenumbers

    if raw is None or _FLOAT.match(text := tidy(raw)):
        return None
    text = _EXTENSION.sub("", text)
    is_american = text.startswith("+1") or phonenumbers.country_code_for_region(region or "") == 1
    is_number = not _LETTERS.search(text) or (is_american and _VANITY.match(text.upper()))  # 1-800-FLOWERS
    if not is_number and _num_digits(text) < _MIN_DIGITS:
        return None
    number = _dialled(text, region) if is_number else None
    if number is None:
        number = _among_words(_DATE_OR_TIME.sub(" ", text), region)
        if number is None:
            return None
    else:
        number = _with_plus(text, number, region) or number
    number.extension = None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _dialled(text: str, region: str | None) -> "PhoneNumber | None":
    """Number of a text without words; a leading `00` is the region's own prefix, or a plus."""
    import phonenumbers

    number = _parsed(text, region)
    if not re.match(r"\(?00(?=[1-9])", text) or (number is not None and phonenumbers.is_valid_number(number)):
        return number
    return _parsed(re.sub(r"^\(?00", "+", text), region) or number


def _among_words(text: str, region: str | None) -> "PhoneNumber | None":
    """First valid number in a text, otherwise the first possible one that is not a part of more digits."""
    import phonenumbers

    text = re.sub(r"(?<![\d+])00(?=[1-9])", "+", text)
    for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
        return match.number
    for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
        is_part = re.search(r"\d[ .()-]*$", text[: match.start]) or re.match(r"[ .()-]*\d", text[match.end :])
        is_dialled = match.raw_string.lstrip("(")[:1] in ("0", "+") or _num_digits(match.raw_string) >= _MIN_FULL_DIGITS
        if is_dialled and not is_part and len(str(match.number.national_number)) >= _MIN_DIGITS:
            return match.number
    return None


def _num_digits(text: str) -> int:
    return sum(map(str.isdecimal, text))


def _parsed(text: str, region: str | None) -> "PhoneNumber | None":
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


def _with_plus(text: str, number: "PhoneNumber", region: str | None) -> "PhoneNumber | None":
    """International number of digits without a leading plus; None if they are a national number."""
    import phonenumbers

    digits = re.sub(r"\D", "", text)
    if "+" in text or region is None or text.lstrip("( ").startswith("0"):
        return None
    prefix = phonenumbers.ndd_prefix_for_region(region, True)
    is_national = phonenumbers.is_valid_number(number)
    has_own_code = digits.startswith(str(phonenumbers.country_code_for_region(region)))
    if is_national and not (prefix == "0" and has_own_code):
        return None
    international = _parsed(f"+{digits}", None)
    return international if international is not None and phonenumbers.is_valid_number(international) else None
