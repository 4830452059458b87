"""The page: plain ES modules and style sheets, which the application serves as they are."""

from tether.web.page.files import CONTENT_POLICY, routes

__all__ = ("CONTENT_POLICY", "routes")
