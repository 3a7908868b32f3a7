"""Generated audit records: varied, plausible, and the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ualpipe.simulator.records import entra, exchange, general, security, sharepoint
from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import DEFAULT_DOMAIN, DEFAULT_TENANT_ID, Organisation, make_organisation

DEFAULT_SEED = 365
DEFAULT_RATE = 2.0

_MODULES = (entra, exchange, general, security, sharepoint)


def generate(
    count: int | None = None,
    *,
    seed: int = DEFAULT_SEED,
    start: datetime,
    rate: float = DEFAULT_RATE,
    tenant_id: str = DEFAULT_TENANT_ID,
    domain: str = DEFAULT_DOMAIN,
) -> Iterator[Record]:
    """Yields records of all workloads in the order of their CreationTime.

    Args:
        count: How many; None for ever.
        seed: The same seed makes the same people; together with the same start, the same records.
        start: CreationTime of the first, UTC.
        rate: Records a second of CreationTime, on average.
        tenant_id: Their OrganizationId.
        domain: Domain of the organisation.
    """
    return generate_for(make_organisation(seed, tenant_id, domain), count, seed=seed, start=start, rate=rate)


def generate_for(
    org: Organisation, count: int | None = None, *, seed: int = DEFAULT_SEED, start: datetime, rate: float = DEFAULT_RATE
) -> Iterator[Record]:
    """Yields records of a given organisation; otherwise as ``generate``."""
    rng = random.Random(f"{seed}/{start.isoformat()}")  # noqa: S311 - plausible, not secret
    maker = Maker(org, rng, start)
    kinds = {name: _builder(name) for name in maker.words["kinds"]}
    step = timedelta(seconds=1 / rate)
    for _ in range(count) if count is not None else itertools.repeat(None):
        yield kinds[maker.weighted("kinds")](maker)
        maker.at += step * (2 * rng.random())


def _builder(kind: str) -> Callable[[Maker], Record]:
    """Returns the function that makes records of a kind of the vocabulary."""
    found: Callable[[Maker], Record] = next(getattr(module, kind) for module in _MODULES if hasattr(module, kind))
    return found
