"""The config section that says where a part of a published benchmark comes from."""

from typing import Self

from pydantic import Field, model_validator

from selfcorrect.spec.kinds import Sha256
from selfcorrect.validation import KeyFaultError, Strict


class Source(Strict):
    """Where the rows of one part of a benchmark come from: a file, or a dataset on the Hub."""

    path: str | None = Field(
        None, min_length=1, description="a file of JSON lines, or of one JSON array; null: `hub`"
    )
    sha256: Sha256 | None = Field(None, description="checksum that the file must have; null: any")
    hub: str | None = Field(
        None, min_length=1, description="a dataset on the Hugging Face Hub, where `path` is null"
    )
    subsets: tuple[str, ...] = Field(
        (), description="its subsets, one after the other; none: the dataset has none"
    )
    split: str | None = Field(None, min_length=1, description="its split; several are joined by +")
    revision: str | None = Field(None, description="its commit or tag; null: the newest")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.path is None and self.hub is None:
            raise KeyFaultError("path", "give `path` or `hub`")
        if self.path is None and self.split is None:
            raise KeyFaultError("split", "needed with `hub`")
        if self.path is None and self.sha256 is not None:
            raise KeyFaultError("sha256", "is of a file; of a dataset on the Hub fix `revision`")
        return self

    def __str__(self) -> str:
        return str(self.path or f"{self.hub} on the Hub, split {self.split}")


def local_files(data: Strict) -> dict[str, str]:
    """The local files that a benchmark's problems are read from, by key of its section."""
    sources = {f"{key}.path": value.path for key, value in data if isinstance(value, Source)}
    found = {**sources, "path": getattr(data, "path", None)}
    return {key: path for key, path in found.items() if path is not None}
