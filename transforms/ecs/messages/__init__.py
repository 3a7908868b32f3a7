"""The sentence in ``message``: tables of templates, compiled to one function."""
