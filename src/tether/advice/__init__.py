"""Ready-made hooks: each function makes one, or two, for an agent.

    from tether.advice import approval_by_person, compact, rate_limit

    agent = Agent("anthropic:claude-sonnet-4-5", transform_context=compact())
    agent.around_model(rate_limit(10, per=60))
    agent.around_tool(approval_by_person(tools=["run_command"]))

They use only the public face of `tether`, so anything missing here can be written the same way.
"""

from tether.advice.approval import approval_by_person
from tether.advice.audit import audit
from tether.advice.compaction import compact
from tether.advice.rate_limit import rate_limit
from tether.advice.redaction import redaction
from tether.advice.response_cache import response_cache
from tether.advice.rules import Rule, Rules, approval_by_rules
from tether.advice.time_limit import time_limit

__all__ = (
    "Rule",
    "Rules",
    "approval_by_person",
    "approval_by_rules",
    "audit",
    "compact",
    "rate_limit",
    "redaction",
    "response_cache",
    "time_limit",
)
