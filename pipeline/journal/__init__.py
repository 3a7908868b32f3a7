"""The durable state of a pipeline, as the engine sees it: ``contract``, ``reading`` and ``types``; ``sqlite`` implements it."""
