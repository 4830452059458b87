"""Models over HTTP. The only folder that knows httpx."""
