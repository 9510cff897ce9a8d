"""Settings of the golden record: which value of several records survives, per field."""

from typing import Any, Literal

from pydantic import model_validator

from crm_spark.core.config import Config

PolicyName = Literal["most_recent", "most_trusted", "most_complete", "most_frequent", "verified"]


class FieldPolicy(Config):
    """Survivorship policy of one field; in YAML also just the name of the policy."""

    policy: PolicyName = "most_recent"
    """most_recent: value of the newest record; most_trusted: of the first of `systems` that has one; most_complete: longest value,
    for an address most parts; most_frequent: value of most records; verified: value that `verified_by` marks, else one on which
    records of several systems agree. The newest of equal values survives."""
    systems: list[str] = []
    """Systems of most_trusted, the most trusted first. Other systems follow, the newest value first."""
    verified_by: str | None = None
    """Name of an attribute of persons with `type: flag` that is true where the value of the record is verified; null: none."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, content: Any) -> Any:
        return {"policy": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _check_options(self) -> "FieldPolicy":
        if self.policy == "most_trusted" and not self.systems:
            raise ValueError("most_trusted: list the trusted systems in `systems`, the most trusted first")
        if self.policy != "most_trusted" and self.systems:
            raise ValueError(f"systems: has no effect with policy {self.policy}; set policy: most_trusted")
        if len(self.systems) > len(set(self.systems)):
            raise ValueError("systems: name each system once")
        if self.policy != "verified" and self.verified_by:
            raise ValueError(f"verified_by: has no effect with policy {self.policy}; set policy: verified")
        return self


class GoldenConfig(Config):
    """Survivorship policies of the golden record."""

    default: FieldPolicy = FieldPolicy()
    """Policy of the fields that `fields` does not name."""
    fields: dict[str, FieldPolicy] = {}
    """Policy by field: given_name, family_name, email, phone, address, birth_on, or the name of an attribute of persons. Values
    are those of `default`, or the name of a policy, such as `email: verified`."""

    @model_validator(mode="after")
    def _check_default(self) -> "GoldenConfig":
        if self.default.verified_by:
            raise ValueError("default: verified_by marks the values of one field; set it under `fields`")
        return self
