"""The durable state of a pipeline, as the engine sees it: ``contract`` and ``types``; ``sqlite`` implements it."""
