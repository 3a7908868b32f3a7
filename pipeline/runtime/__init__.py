"""What the parts of a running pipeline share: retry delays, rate limits, threads, processors, the interpreter."""
