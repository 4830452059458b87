"""Many runs: one prompt after the other, so many at once, bounded both ways.

async with each(agent, prompts, at_once=50) as answers:
async for answer in answers:
print(answer.place, answer.text)

each      the runs: started as there is room, cancelled with their block
answer    what comes of a prompt, and what comes of all
results   a file of answers, by which prompts that were answered are not asked again
kept      the same in a store of conversations
prompts   prompts in lines of text or JSON
"""

from tether.many.answer import Answer, Job, Progress
from tether.many.each import Answers, each
from tether.many.kept import KeptConversations
from tether.many.prompts import read_prompts
from tether.many.results import Known, Results, ResultsFile

__all__ = (
    "Answer",
    "Answers",
    "Job",
    "KeptConversations",
    "Known",
    "Progress",
    "Results",
    "ResultsFile",
    "each",
    "read_prompts",
)
