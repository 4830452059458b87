"""Models over HTTP. No other folder imports httpx."""
