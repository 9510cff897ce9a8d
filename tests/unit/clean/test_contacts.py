"""E-mail addresses and phone numbers."""

from pathlib import Path

import pytest

from crm_spark.stages.clean.contacts import MailProviders, e164, email, email_match, load_mail_providers

PROVIDERS = load_mail_providers(str(Path(__file__).resolve().parents[3] / "conf/domains/mail_providers.yaml"))


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("Anna@EX.org", "anna@ex.org"),
        ("mailto:pia@ex.org", "pia@ex.org"),
        ("MAILTO:x@y.com?subject=hi", "x@y.com"),
        ("Ole Beige <ole@ex.org>", "ole@ex.org"),
        ('"Beige, Ole" <ole@ex.org>', "ole@ex.org"),
        ("<ole@ex.org>", "ole@ex.org"),
        ("Ole\u00a0<mailto:ole@ex.org>", "ole@ex.org"),
        ("mia@müller.рф", "mia@müller.рф"),
        ("lea@xn--mller-kva.xn--p1ai", "lea@xn--mller-kva.xn--p1ai"),
        ("+49176@sms.example", "+49176@sms.example"),
        ("o'hara@ex.co.uk", "o'hara@ex.co.uk"),
        ("a_b-c@sub.ex-ample.com", "a_b-c@sub.ex-ample.com"),
        ("anna@example", None),
        ("anna@.com", None),
        ("an na@ex.org", None),
        ("q@ex.org;r@ex.org", "q@ex.org"),
        ("q@ex.org, r@ex.org", "q@ex.org"),
        ("q@ex.org / r@ex.org", "q@ex.org"),
        ("Ole <ole@ex.org>; Pia <pia@ex.org>", "ole@ex.org"),
        ("q@ex.org,", "q@ex.org"),
        ("q@ex.org.", "q@ex.org"),
        ("q@ex.org (privat)", "q@ex.org"),
        ("q@ex.com,au", None),
        ("no mail, ask bob@ex.org", None),
        ("no address", None),
        ("", None),
        (None, None),
    ],
)
def test_email_is_read(written, address):
    assert email(written) == address


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("an.na+shop@gmail.com", "anna@gmail.com"),
        ("an.na@googlemail.com", "anna@gmail.com"),
        ("an.na+shop@outlook.com", "an.na@outlook.com"),
        ("+49176@gmail.com", "+49176@gmail.com"),
        ("...@gmail.com", "...@gmail.com"),
        ("orders+17@market.example", "orders+17@market.example"),
        ("+49176@sms.example", "+49176@sms.example"),
        ("mia@müller.рф", "mia@xn--mller-kva.xn--p1ai"),
        ("mia@xn--mller-kva.xn--p1ai", "mia@xn--mller-kva.xn--p1ai"),
        (None, None),
    ],
)
def test_matching_key_of_a_mailbox(address, key):
    assert email_match(address, PROVIDERS) == key


def test_without_providers_addresses_are_compared_as_written():
    assert email_match("an.na+shop@gmail.com", MailProviders()) == "an.na+shop@gmail.com"


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("0171 2345678", "DE", "+491712345678"),
        ("0171/2345678", "DE", "+491712345678"),
        ("+49 (0)171 2345678", None, "+491712345678"),
        ("0049 171 2345678", None, "+491712345678"),
        ("+491712345678 (mobil)", "DE", "+491712345678"),
        ("+49 171 2345678 privat", None, "+491712345678"),
        ("Tel.: 0171 2345678", "DE", "+491712345678"),
        ("0171 2345678 MOBIL", "DE", "+491712345678"),
        ("0171 2345678 / 030 123456", "DE", "+491712345678"),
        ("+49 171 2345678 ext. 9", "DE", "+491712345678"),
        ("0171 2345678x12", "DE", "+491712345678"),
        ("491712345678", "DE", "+491712345678"),
        ("34612345678", "ES", "+34612345678"),
        ("612345678", "ES", "+34612345678"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("1-800-FLOWERS", "DE", None),
        ("0171 2345678 ab 18:00 Uhr", "DE", "+491712345678"),
        ("ab 18:00 Uhr 0171 2345678", "DE", "+491712345678"),
        ("Haus 12, 0171 2345678", "DE", "+491712345678"),
        ("Kdnr 123456, 0171 2345678", "DE", "+491712345678"),
        ("Kdnr 123456", "DE", None),
        ("seit 01.02.2024: 0171 2345678", "DE", "+491712345678"),
        ("falsch seit 2024-03-01", "DE", None),
        ("+49 171 23456789012345 67", "DE", None),
        ("0011 44 20 7946 0958", "AU", "+442079460958"),
        ("0044 20 7946 0958", "AU", "+442079460958"),
        ("001 44 20 7946 0958", "KR", "+442079460958"),
        ("4.91712E+11", "DE", None),
        ("call me", "DE", None),
        ("0171 2345678", None, None),
        ("0", "DE", None),
        (None, "DE", None),
    ],
)
def test_phone_number_is_read(written, region, number):
    assert e164(written, region) == number
