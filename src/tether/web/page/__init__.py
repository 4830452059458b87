"""The page: plain ES modules and style sheets, which the application serves as they are."""

from tether.web.page.files import routes

__all__ = ("routes",)
