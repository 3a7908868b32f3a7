"""The commands of ``ualpipe``, one module each; imported only when used."""
