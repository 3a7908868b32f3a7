"""The commands of ``ualpipe``, one module each; imported only when used."""


def counted(number: int, noun: str) -> str:
    """Returns ``no dead letters``, ``1 dead letter``, ``2,000 dead letters``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else f"no {noun}s"
