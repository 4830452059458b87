"""The command `tether`: one request, answered while it is shown, or a conversation.

`App` and `Conversation` are for init files and extensions. The modules in this package belong to the command, and only
`extensions` and `conversation` export anything.
"""

from tether.cli.conversation import Conversation
from tether.cli.extensions import App

__all__ = ("App", "Conversation")
