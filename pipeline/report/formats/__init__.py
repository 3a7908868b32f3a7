"""How answers are written: a module a format, each with ``write(answer) -> Iterator[str]`` or more."""
