"""The page in a real browser: what a person does, and what must not happen to them.

Pictures are kept in the folder that is printed, or in `TETHER_SCREENSHOTS`.
"""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from tests.ports import reserved_port
from tests.web.browser import DESKTOP, PATIENCE, TELEPHONE, Eyes, Server, open_browser
from tests.web.page_agent import PIXEL, make_agent

from tether.replay import RecordedRun, read, record

STOP = "button.stop"
QUESTION = ".question"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with reserved_port() as port:
        made = Server(tmp_path_factory.mktemp("conversations"), port)
        try:
            yield made
        finally:
            made.kill()


@pytest.fixture(scope="module")
def browser(server: Server, tell: Callable[[str], None]) -> Iterator[Any]:
    with open_browser() as opened:
        server.start()
        tell(f"the page in Chromium {opened.version}; pictures in {Eyes().folder}")
        yield opened


@pytest.fixture
def eyes() -> Eyes:
    return Eyes()


@pytest.fixture(scope="module")
def context(browser: Any) -> Any:
    """A browser window that keeps what it has loaded, as that of a person does."""
    opened = browser.new_context(viewport=DESKTOP)
    opened.set_default_timeout(PATIENCE * 1000)
    return opened


@pytest.fixture
def person(context: Any, server: Server, eyes: Eyes) -> Iterator["Person"]:
    yield Person(context, server, eyes)
    for page in context.pages:
        page.close()
    assert eyes.problems == []


class Person:
    """Somebody with a browser, who opens the page in tabs."""

    def __init__(self, context: Any, server: Server, eyes: Eyes) -> None:
        self.context = context
        self.server = server
        self.eyes = eyes

    def open(self, of: "Tab | None" = None) -> "Tab":
        """Open a tab with a new conversation, or with that of another tab."""
        page = self.context.new_page()
        self.eyes.watch(page)
        page.goto(of.page.url if of else self.server.url)
        page.wait_for_selector("#message")
        return Tab(page)


class Tab:
    """A tab with the page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def say(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def sees(self, text: str, where: str = ".log") -> None:
        self.page.locator(where).get_by_text(text).first.wait_for()

    def is_idle(self) -> None:
        self.page.wait_for_selector(STOP, state="hidden")

    def asks(self, text: str, answer: str) -> None:
        """Say something, and wait for the whole answer."""
        self.say(text)
        self.sees(answer)
        self.is_idle()

    def count(self, where: str) -> int:
        found: int = self.page.locator(where).count()
        return found

    def text(self, where: str = ".log") -> str:
        found: str = self.page.locator(where).first.inner_text()
        return found


def test_first_run(person: Person) -> None:
    tab = person.open()
    tab.sees("scripted-large is ready.")
    person.eyes.keep(tab.page, "1-new")
    tab.page.keyboard.type("tour")  # the message field has the focus from the start
    tab.page.keyboard.press("Enter")
    tab.sees("That is all.")
    tab.is_idle()
    person.eyes.keep(tab.page, "2-tour")
    tab.page.wait_for_selector("h1#title:has-text('tour')")
    assert tab.page.title() == "tour"
    tab.page.wait_for_selector(".prose pre code .hljs-keyword")
    assert tab.count(".prose h1, .prose table") == 2
    thoughts = tab.page.locator(".thoughts")
    assert not thoughts.get_by_text("So be it.").is_visible()
    thoughts.locator("summary").click()
    thoughts.get_by_text("So be it.").wait_for()
    assert tab.page.locator("nav [aria-current=page]").inner_text().startswith("tour")


def test_a_call_shows_what_it_does(person: Person) -> None:
    tab = person.open()
    tab.say("count 30")
    tab.sees("line 10 of 30", ".card .output")
    assert tab.page.locator(".card .time").inner_text().endswith("s")
    person.eyes.keep(tab.page, "3-live")
    tab.sees("The call is done.")
    card = tab.page.locator(".card")
    assert card.get_attribute("data-state") == "ok"
    assert not card.locator(".output").is_visible(), "what went well is folded"
    card.locator("summary").click()
    tab.sees("line 30 of 30", ".card .output")
    tab.say("count 2000")
    tab.page.get_by_role("button", name="Cancel this call").click()
    tab.page.wait_for_selector(".card[data-state=interrupted]")
    tab.is_idle()


def test_steering_and_following_up(person: Person) -> None:
    tab = person.open()
    tab.say("slow")
    tab.sees("word20")
    tab.page.get_by_text("Follow up").click()
    tab.say("afterwards")
    tab.sees("afterwards", ".queued")
    tab.page.get_by_text("Interrupt").click()
    person.eyes.keep(tab.page, "4-steering")
    tab.say("now")
    tab.sees("You said: now")
    tab.sees("You said: afterwards")
    tab.is_idle()
    assert tab.count(".queued") == 0
    assert [said.strip() for said in tab.page.locator(".bubble").all_inner_texts()] == [
        "slow",
        "now",
        "afterwards",
    ]


def test_stop(person: Person) -> None:
    tab = person.open()
    tab.say("slow")
    tab.sees("word5")
    tab.page.click(STOP)
    tab.sees("Stopped.")
    tab.is_idle()
    tab.asks("still there?", "You said: still there?")
    tab.say("slow")
    tab.page.locator(".reply").nth(2).get_by_text("word5 ").wait_for()
    tab.page.press("#message", "Escape")
    tab.page.locator(".reply").nth(2).get_by_text("Stopped.").wait_for()
    tab.is_idle()


def test_an_approval_is_answered_in_another_tab(person: Person) -> None:
    one = person.open()
    one.say("edit")
    one.page.wait_for_selector(QUESTION)
    person.eyes.keep(one.page, "5-approval")
    assert one.page.title().startswith("\u25cf")
    assert (
        one.page.locator(".diff .new").first.inner_text().endswith("def greet(name: str) -> None:")
    )
    two = person.open(one)
    two.page.get_by_role("button", name="Allow once").click()
    for tab in (one, two):
        tab.sees("The call is done.")
        assert tab.count(QUESTION) == 0
        assert tab.page.locator(".card").get_attribute("data-state") == "ok"


def test_a_denial_has_a_reason_and_always_lasts(person: Person) -> None:
    tab = person.open()
    tab.say("run rm -rf")
    tab.page.get_by_role("button", name="Deny\u2026").click()
    tab.page.keyboard.type("not on a Friday")
    person.eyes.keep(tab.page, "6-denial")
    tab.page.keyboard.press("Enter")
    tab.sees("not on a Friday", ".card")
    tab.sees("The call is done.")
    tab.say("run ls")
    tab.page.get_by_role("button", name="Always allow run_command").click()
    tab.page.wait_for_selector(".card[data-state=ok]")
    tab.is_idle()
    tab.say("run pwd")
    tab.page.wait_for_selector(".card[data-state=ok] >> nth=1")
    assert tab.count(QUESTION) == 0


def test_an_agent_inside_a_call(person: Person) -> None:
    tab = person.open()
    tab.say("delegate run ls")
    tab.page.locator(".inside").get_by_role("button", name="Allow once").click()
    tab.sees("The call is done.")
    tab.is_idle()
    tab.page.locator(".card summary").first.click()
    tab.sees("The call is done.", ".inside")
    person.eyes.keep(tab.page, "7-agents")
    assert tab.count(".inside .card[data-state=ok]") == 1


def test_reload_in_the_middle(person: Person) -> None:
    tab = person.open()
    tab.say("slow")
    tab.sees("word20")
    tab.page.reload()
    tab.sees("word60")
    text = tab.text(".prose")
    assert text.split()[:4] == ["Paragraph", "0:", "word1", "word2"]
    assert text.count("word20 ") == 1
    tab.page.click(STOP)
    tab.is_idle()
    tab.page.reload()
    tab.sees("Stopped.")
    assert tab.text(".prose").startswith(text[:200])


def test_two_viewers(person: Person) -> None:
    one = person.open()
    one.say("slow")
    one.sees("word10 ")
    two = person.open(one)
    two.sees("word30 ")
    two.page.click(STOP)
    for tab in (one, two):
        tab.sees("Stopped.")
    assert one.text(".prose") == two.text(".prose")
    two.asks("from two", "You said: from two")
    one.sees("You said: from two")


def test_offline(person: Person) -> None:
    tab = person.open()
    tab.say("slow")
    tab.sees("word10 ")
    person.context.set_offline(True)
    tab.sees("The server is not reached", ".status")
    tab.say("is this lost?")
    tab.sees("Not sent", ".problems")
    assert tab.page.input_value("#message") == "is this lost?", "what was written is kept"
    person.eyes.keep(tab.page, "8-offline")
    person.context.set_offline(False)
    tab.sees("word100 ")
    tab.page.wait_for_selector(".status .problem", state="hidden")
    text = tab.text(".prose")
    assert text.split().count("word50") == 1
    # The browser itself complains of what it could not fetch.
    person.eyes.problems[:] = [one for one in person.eyes.problems if "ERR_INTERNET" not in one]


def test_six_tabs_do_not_hold_up_a_seventh(person: Person) -> None:
    tabs = [person.open()]
    tabs[0].asks("hello", "You said: hello")
    for _ in range(6):
        tabs.append(person.open(tabs[0]))
        tabs[-1].sees("You said: hello")
    tabs[-1].asks("still through", "You said: still through")
    # The streams of others may yet be closing.
    while len(paused := [tab for tab in tabs if tab.count("text=Paused: other tabs")]) < 3:
        tabs[-1].page.wait_for_timeout(20)
    paused[0].page.bring_to_front()
    paused[0].page.evaluate("window.dispatchEvent(new Event('focus'))")
    paused[0].sees("You said: still through")


def test_a_hidden_tab_holds_no_stream_and_comes_back(person: Person) -> None:
    tab = person.open()
    tab.asks("hello", "You said: hello")
    other = person.open(tab)
    hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true});"
    change = "document.dispatchEvent(new Event('visibilitychange'))"
    tab.page.evaluate(f"() => {{ {hide % 'hidden'} {change} }}")
    before = len(person.eyes.requests)
    other.asks("unseen", "You said: unseen")
    assert tab.count(".log >> text=You said: unseen") == 0
    tab.page.evaluate(f"() => {{ {hide % 'visible'} {change} }}")
    tab.sees("You said: unseen")
    again = [url for url in person.eyes.requests[before:] if "/events?after=" in url]
    assert len(again) == 1
    assert not again[0].endswith("after=0"), "it goes on where it was"


def test_200_kb_of_reply(person: Person) -> None:
    tab = person.open()
    tab.asks("big", "End of it.")
    assert len(tab.page.locator(".prose").text_content()) > 150_000
    tab.page.reload()
    tab.sees("End of it.")
    assert tab.count(".prose table") > 100


def test_hostile_markdown(person: Person) -> None:
    tab = person.open()
    before = set(person.eyes.requests)
    tab.asks("hostile", "The end of it.")
    person.eyes.keep(tab.page, "10-hostile")
    for link in tab.page.locator(".prose a").all():
        assert link.get_attribute("href").startswith(("http://evil.invalid/", "mailto:"))
    tab.page.mouse.move(600, 400)
    assert tab.page.evaluate("window.ran ?? null") is None
    foreign = "iframe, script, style, svg:not(.icon), form, input, button:not(.button), link, base, math, object"
    assert tab.count(f".prose :is({foreign}, [onerror], [style])") == 0
    assert tab.count(".prose img") == 0
    assert not [url for url in set(person.eyes.requests) - before if "evil" in url]
    assert all(url.startswith((person.server.url, "data:")) for url in person.eyes.requests)
    refused = (
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true } }"
    )
    assert tab.page.evaluate(refused), "trusted types hold"
    person.eyes.problems[:] = [one for one in person.eyes.problems if "TrustedHTML" not in one]


def test_text_that_would_take_a_parser_minutes_or_its_stack(person: Person) -> None:
    tab = person.open()
    tab.asks("deep", "The end of it.")
    assert tab.page.locator(".prose").text_content().count("a") > 80_000
    tab.asks("still there", "You said: still there")


def test_text_that_arrives_bit_by_bit_ends_as_what_came_whole(person: Person) -> None:
    script = (Path(__file__).parent / "prose_check.js").read_text()
    assert person.open().page.evaluate(script, 25) == []


def test_attachments(person: Person, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(PIXEL)
    tab = person.open()
    tab.page.set_input_files("input[type=file]", picture)
    tab.page.wait_for_selector(".chip:not(.arriving)")
    give = """(data) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "given.png", { type: "image/png" }));
        return transfer;
    }"""
    given = tab.page.evaluate_handle(give, base64.b64encode(PIXEL).decode())
    tab.page.locator("main").dispatch_event("drop", {"dataTransfer": given})
    tab.page.evaluate(
        "(data) => document.querySelector('#message').dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData: data, cancelable: true }))",
        given,
    )
    tab.page.wait_for_selector(".chip:not(.arriving) >> nth=2")
    tab.page.get_by_role("button", name="Remove dot.png").click()
    person.eyes.keep(tab.page, "11-attachments")
    tab.say("/length")  # it only answers: the files go with what is said next
    tab.sees("0 messages,", ".told")
    assert tab.count(".chip") == 2
    tab.asks("look", "You said: look with image, image")
    assert tab.count(".said img") == 2
    assert tab.count(".chip") == 0


def test_what_was_said_is_said_anew_in_a_fork(person: Person) -> None:
    tab = person.open()
    tab.asks("first", "You said: first")
    tab.asks("second", "You said: second")
    before = tab.page.url
    tab.page.locator(".said").nth(1).hover()
    tab.page.get_by_role("button", name="Edit in a fork").nth(1).click()
    tab.page.keyboard.press("End")
    tab.page.keyboard.type(", but better")
    person.eyes.keep(tab.page, "12-edit")
    tab.page.keyboard.press("Control+Enter")
    tab.sees("You said: second, but better")
    assert tab.page.url != before
    assert tab.count(".log >> text=You said: first") == 1
    assert tab.page.locator(".bubble").all_inner_texts() == ["first", "second, but better"]
    tab.page.go_back()
    tab.page.locator(".bubble", has_text="second").wait_for()
    assert tab.page.locator(".bubble").all_inner_texts() == ["first", "second"]


def test_the_list_of_conversations(person: Person) -> None:
    tab = person.open()
    tab.asks("a needle", "You said: a needle")
    tab.page.keyboard.press("Alt+n")
    tab.asks("some hay", "You said: some hay")
    row = tab.page.locator("nav li", has_text="needle").first
    tab.page.keyboard.press("Control+k")
    tab.page.keyboard.type("needle")
    tab.page.locator("nav li", has_text="some hay").wait_for(state="detached")
    row.hover()
    row.get_by_role("button").click()
    person.eyes.keep(tab.page, "13-menu")
    tab.page.get_by_role("menuitem", name="Rename\u2026").click()
    tab.page.keyboard.type("A haystack")
    tab.page.keyboard.press("Enter")
    tab.page.fill("nav input", "haystack")
    tab.page.locator("nav a", has_text="A haystack").click()
    tab.page.wait_for_selector("h1#title:has-text('A haystack')")
    tab.page.locator("header").get_by_role("button", name="More").click()
    with tab.page.expect_download() as saved:
        tab.page.get_by_role("menuitem", name="Export as Markdown").click()
    assert "a needle" in Path(saved.value.path()).read_text()
    tab.page.locator("header").get_by_role("button", name="More").click()
    tab.page.get_by_role("menuitem", name="Delete\u2026").click()
    person.eyes.keep(tab.page, "14-delete")
    tab.page.get_by_role("button", name="Delete", exact=True).click()
    tab.page.get_by_text("Nothing found.").wait_for()
    tab.page.wait_for_selector(".welcome")


def _recorded(server: Server, id_: str) -> tuple[Path, RecordedRun]:
    """Wait until the run of a conversation is on its recording, with its end."""
    deadline = time.monotonic() + PATIENCE
    [path] = (server.folder / "recordings").glob(f"*{id_}*")
    while not (run := read(path).runs[0]).is_whole:
        assert time.monotonic() < deadline, "the run is not recorded to its end"
        time.sleep(0.05)
    return path, run


def test_a_recording_is_stepped_through(person: Person) -> None:
    tab = person.open()
    tab.say("edit")
    tab.page.get_by_role("button", name="Allow once").click()
    tab.sees("The call is done.")
    tab.is_idle()
    page = tab.page
    path, recorded = _recorded(person.server, page.url.partition("#")[2])
    old = [f"20000101T{n:06}-old-0123456789ab.jsonl" for n in range(100)]
    for name in old:
        (path.parent / name).touch()
    page.get_by_role("button", name="Recordings").click()
    window = page.get_by_role("dialog", name="Recordings")
    names = window.get_by_label("Recording", exact=True)
    names.locator(f'option[value="{path.name}"]').wait_for(state="attached")
    window.get_by_role("button", name="Show more").click()
    names.locator(f'option[value="{old[0]}"]').wait_for(state="attached")
    assert not window.get_by_role("button", name="Show more").is_visible()
    names.select_option(value=path.name)
    place, shown = window.get_by_role("status"), window.locator(".recorded")
    place.get_by_text("before the first event").wait_for()
    assert shown.inner_text().strip() == ""
    window.get_by_role("button", name="Last").click()
    place.get_by_text("agent_end \u00b7 end: stop").wait_for()
    shown.get_by_text("The call is done.").wait_for()
    person.eyes.keep(page, "20-recording")
    last = len(recorded.events)
    window.get_by_role("button", name="Back").click()
    place.get_by_text(f"{last - 1} of {last}").wait_for()
    window.get_by_role("button", name="Next").click()
    place.get_by_text(f"{last} of {last}").wait_for()
    # Where a person was asked, the question is seen, and nobody can answer it here.
    number = window.get_by_label("Event", exact=True)
    types = [event.type for event in recorded.events]
    number.fill(f"{types.index('approval_requested') + 1}")
    number.press("Enter")
    place.get_by_text("approval_requested").wait_for()
    shown.get_by_text("needs your approval").wait_for()
    assert shown.get_by_role("button", name="Allow once").count() == 0
    number.fill("99999")
    number.press("Enter")
    place.get_by_text(f"{last} of {last}").wait_for()
    unnamed = """() => [...document.querySelectorAll('dialog :is(button, input, select)')]
        .filter((one) => one.checkVisibility() && !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.set_viewport_size({"width": 320, "height": 480})
    assert window.evaluate("(dialog) => dialog.scrollWidth - dialog.clientWidth") == 0
    page.keyboard.press("Escape")
    window.wait_for(state="detached")


def test_a_recording_of_the_visitors_disk_is_opened_and_is_never_html(
    person: Person, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.jsonl"
    # The browser's driver has the event loop of this thread.
    with record(agent := make_agent(lambda _: "once"), path), start_blocking_portal() as portal:
        portal.call(agent.prompt, "hostile")
    tab = person.open()
    page = tab.page
    page.get_by_role("button", name="Recordings").click()
    window = page.get_by_role("dialog", name="Recordings")
    chosen = window.get_by_label("Open a file of this computer")
    chosen.set_input_files(path)
    window.get_by_role("button", name="Last").click()
    window.locator(".recorded").get_by_text("The end of it.").wait_for()
    window.get_by_text("The event", exact=True).click()
    assert page.evaluate("window.ran") is None
    assert [url for url in person.eyes.requests if "evil" in url] == []
    other = tmp_path / "other.jsonl"
    other.write_text("<b>no</b>\n")
    chosen.set_input_files(other)
    window.get_by_role("alert").get_by_text("This is not a recording of tether.").wait_for()
    assert not window.get_by_role("button", name="Last").is_visible()
    damaged = '["run",0,{"known":0,"messages":[null],"prompts":[]}]'
    other.write_text(f'["recording",0,{{"version":1}}]\n{damaged.replace("null", "")}\n{damaged}\n')
    with page.expect_file_chooser() as chooser:  # the same file once more, which is another now
        chosen.click()
    chooser.value.set_files(other)
    window.get_by_label("Run", exact=True).select_option(value="1")
    window.get_by_role("alert").get_by_text("The recording is damaged").wait_for()
    assert not window.get_by_role("button", name="Last").is_visible()


def test_by_keyboard_and_by_ear(person: Person) -> None:
    tab = person.open()
    page = tab.page
    page.keyboard.press("Alt+m")
    page.keyboard.type("edit")
    page.keyboard.press("Enter")
    page.wait_for_selector(QUESTION)
    page.get_by_role("alert").get_by_text("Needs your approval: edit_file").wait_for()
    page.keyboard.press("Alt+a")
    assert page.evaluate("document.activeElement.textContent") == "Allow once"
    page.keyboard.press("Enter")
    tab.sees("The call is done.")
    page.get_by_role("status").get_by_text("The call is done.").wait_for()
    for role, name in (
        ("navigation", "Conversations"),
        ("log", "Conversation"),
        ("article", "You"),
        ("article", "Assistant"),
        ("textbox", "Message"),
    ):
        assert page.get_by_role(role, name=name).first.is_visible(), (role, name)
    unnamed = """() => [...document.querySelectorAll('button, input, textarea, a')]
        .filter((one) => one.checkVisibility() && !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.keyboard.press("Control+/")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    person.eyes.keep(page, "15-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_commands_are_offered_while_they_are_typed(person: Person) -> None:
    tab = person.open()
    tab.sees("scripted-large is ready.")
    field, options = tab.page.locator("#message"), tab.page.get_by_role("option")
    field.press_sequentially("/e")
    tab.page.get_by_role("listbox", name="Commands").wait_for()
    assert options.all_inner_texts() == [
        "/echo\nWHAT [HOW]\nSay it again.",
        "/echo:twice\n[words]\nSay it twice.",
    ]
    person.eyes.keep(tab.page, "26-commands")
    first = options.first
    assert field.get_attribute("aria-activedescendant") == first.get_attribute("id")
    field.press("ArrowDown")
    assert first.get_attribute("aria-selected") == "false"
    field.press("Escape")  # closes the list, and stops nothing
    options.first.wait_for(state="hidden")
    assert field.input_value() == "/e"
    field.press_sequentially("c")
    field.press("ArrowUp")
    field.press("Enter")
    assert field.input_value() == "/echo:twice "
    field.fill("/ech")
    options.first.click()
    assert field.input_value() == "/echo "
    field.press_sequentially("this")
    field.press("Enter")
    tab.sees("You said: echo of this")
    tab.is_idle()
    tab.say("/length")
    tab.sees("2 messages,", ".told")
    tab.say("/nosuch")
    tab.sees("There are /echo, /echo:twice, /length.", ".problem")
    assert field.input_value() == "/nosuch"
    person.eyes.problems[:] = [one for one in person.eyes.problems if "status of 400" not in one]
    tab.asks(" /nosuch", "** /nosuch**")


def test_the_colours_can_be_chosen(person: Person) -> None:
    tab = person.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    tab.page.emulate_media(color_scheme="light")
    light = tab.page.evaluate(ground)
    tab.page.get_by_role("button", name="Theme: as the system").click()
    tab.page.get_by_role("button", name="Theme: light").click()
    assert tab.page.evaluate(ground) != light
    tab.page.reload()
    assert tab.page.evaluate(ground) != light
    tab.page.get_by_role("button", name="Theme: dark").click()


def test_a_telephone(browser: Any, server: Server, eyes: Eyes) -> None:
    context = browser.new_context(
        viewport=TELEPHONE, is_mobile=True, has_touch=True, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE * 1000)
    try:
        tab = Person(context, server, eyes).open()
        tab.asks("tour", "That is all.")
        eyes.keep(tab.page, "20-telephone")
        tab.say("edit")
        tab.page.wait_for_selector(QUESTION)
        eyes.keep(tab.page, "21-telephone-approval")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]
        tab.page.get_by_role("button", name="Allow once").tap()
        tab.sees("The call is done.")
        tab.page.get_by_role("button", name="Conversations").tap()
        tab.page.get_by_role("button", name="New conversation").wait_for()
        eyes.keep(tab.page, "22-telephone-list")
        tab.page.keyboard.press("Escape")
        tab.page.get_by_role("button", name="New conversation").wait_for(state="hidden")
    finally:
        context.close()
    assert eyes.problems == []


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def test_the_server_is_started_again(browser: Any, eyes: Eyes, tmp_path: Path, port: int) -> None:
    """It is killed in the middle of a reply, on trio; what was complete is there, and the tab goes on by itself."""
    server = Server(tmp_path, port, "trio")
    server.start()
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE * 1000)
    try:
        tab = Person(context, server, eyes).open()
        tab.say("edit")
        tab.page.wait_for_selector(QUESTION)
        tab.page.click(STOP)
        tab.sees("Stopped.")  # no message says so: afterwards, all behind it moves up
        tab.asks("before", "You said: before")
        tab.say("slow")
        tab.sees("word10 ")
        server.kill()
        tab.sees("The server is not reached", ".status")
        server.start()
        tab.page.wait_for_selector(".status .problem", state="hidden")
        tab.is_idle()
        assert tab.count(".log >> text=You said: before") == 1
        tab.asks("afterwards", "You said: afterwards")
    finally:
        context.close()
        server.kill()
    assert not [one for one in eyes.problems if one.startswith("error: ") and "ERR_" not in one]
