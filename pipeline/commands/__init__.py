"""The commands of ``ualpipe``, one module each; imported only when used."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns ``no dead letters``, ``1 dead letter``, ``2,000 dead letters``; ``plural`` where it is not made by an s."""
    return f"1 {noun}" if number == 1 else f"{f'{number:,}' if number else 'no'} {plural or noun + 's'}"
