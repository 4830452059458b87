"""The models that speak to vendors: a file for each wire API, and one that knows HTTP."""
