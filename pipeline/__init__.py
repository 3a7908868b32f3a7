"""The engine. What stands directly in here is what stages are made with; the engine itself lies in the packages below."""
