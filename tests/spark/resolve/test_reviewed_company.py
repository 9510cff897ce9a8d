"""Decisions about the records of a company: they hold in every later run, and the customer ids follow."""

from dataclasses import replace

import pytest

from crm_spark.contracts.gold import CUSTOMER_LINK, IDENTITY_DECISION, IDENTITY_REVIEW
from crm_spark.stages.resolve import stage

SOURCE = """
system: crm
files: {path: 'people.csv', format: csv}
feeds:
  person:
    columns: {person_id: id, given_name: given, family_name: family, email: mail, birth_on: {from: born, formats: [yyyy-MM-dd]}}
"""
PEOPLE = """id,given,family,mail,born
1,Anna,Berg,anna@berg.de,1980-04-12
2,Anna,Berg,anna@berg.de,1980-04-12
3,Anne,Burg,anne@burg.de,1980-04-21
4,,,anna@berg.de,
5,Ida,,,
"""
HEADER = "system,person_id,other_system,other_person_id,decision,decided_at\n"


@pytest.fixture
def resolved(company, tmp_path):
    path = tmp_path / "decisions.csv"
    ctx = company({"people": SOURCE}, {"people.csv": PEOPLE}, f"resolve.decisions={path}")
    numbers = iter(range(9))

    def run(*lines):
        path.write_text(HEADER + "".join(f"crm,{line}\n" for line in lines))
        result = stage.run(replace(ctx, fingerprint=f"{next(numbers)}" * 64))
        customers = {}
        for row in ctx.tables.read(CUSTOMER_LINK).collect():
            customers.setdefault(row["customer_id"], []).append(row["person_id"])
        return sorted("".join(sorted(ids)) for ids in customers.values()), result.note

    run.tables = ctx.tables
    return run


def test_decisions_hold_until_they_are_undone(resolved):
    found, note = resolved("1,crm,3,same,2025-01-01", "2,crm,1,different,2025-01-01", "5,crm,3,same,2025-01-01")
    # 5 has too little data to be compared, and 4 has no evidence but the e-mail address of both 1 and 2.
    assert any({*"135"} <= {*group} for group in found) and not any({*"12"} <= {*group} for group in found)
    assert "3 decisions applied" in note
    assert resolved.tables.read(IDENTITY_DECISION).count() == 3 and resolved.tables.read(IDENTITY_REVIEW).count() == 0
    found, _ = resolved("2,crm,1,undo,2025-01-02", "1,crm,3,undo,2025-01-02", "3,crm,5,undo,2025-01-02")
    assert found == ["124", "3", "5"]
