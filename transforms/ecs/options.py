"""Options of the ``ecs`` transform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsTransformConfig:
    """Options of the ``ecs`` transform."""

    mapping: list[Path] = option(
        "Your mapping files, in the format of the shipped ones. Their rows come before the shipped rows, those of the "
        "last file first.",
        default=[],
    )
    messages: list[Path] = option(
        "Files of your own with templates of `message`, in the format of `schemas/ecs/messages.yaml`. They come before ours, the "
        "last file first.",
        default=[],
    )
    keep_original: bool = option("Adds the record as received, as text, in `event.original`.", default=False)
    elastic_content: bool = option(
        "Adds `web` to `event.category` beside the true categories, as half of Elastic's prebuilt rules for Microsoft 365 ask "
        "for it, and `access` to the `event.type` of sign-ins.",
        default=True,
    )
    dataset: str = option(
        "Value of `event.dataset` and `data_stream.dataset`.",
        default="o365.audit",
        pattern=r"^[a-z0-9][a-z0-9_.]*$",
        maxLength=100,
    )
    namespace: str = option(
        "Value of `data_stream.namespace`.", default="default", pattern=r"^[a-z0-9][a-z0-9_.]*$", maxLength=100
    )
