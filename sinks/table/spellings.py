"""All spellings of one user: names that share an id with one another (an address, one before it was renamed, an id alone)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def spellings_of(user: str, names: Iterable[Sequence[str | None]]) -> Sequence[str]:
    """Returns the actors who are the same as the one that is asked for.

    Args:
        user: An address, a name, or an id, in any case.
        names: Each pair of actor and ids (with blanks between) that stands in the store.
    """
    wanted = user.strip().lower()
    by_key: dict[str, set[str]] = {}
    by_actor: dict[str, set[str]] = {}
    for actor, keys in names:
        if actor:
            found = set((keys or "").split())
            by_actor.setdefault(actor, set()).update(found)
            for key in found:
                by_key.setdefault(key, set()).add(actor)
    reached: set[str] = set()
    waiting = ({wanted} if wanted in by_actor else set()) | by_key.get(wanted, set())
    while waiting:
        actor = waiting.pop()
        reached.add(actor)
        for key in by_actor[actor]:
            waiting |= by_key[key] - reached
    return sorted(reached)
