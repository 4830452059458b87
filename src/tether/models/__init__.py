"""Models of providers: a folder for each wire API, what they share, and HTTP underneath."""
