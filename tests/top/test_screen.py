"""Screens as lines, at the sizes that people have: golden text, and what others write into it."""

import pytest
from tests.top.golden import is_kept
from tests.top.pages import NOW, answer, shop, view_of

from tether.top.lines import plain
from tether.top.screen import screen
from tether.top.text import width_of
from tether.top.view import View

SIZES = [(80, 24), (160, 50)]
TETHER = """\
# TYPE tether_runs_active gauge
tether_runs_active 3
# TYPE tether_runs_started_total counter
tether_runs_started_total{{agent="shop"}} {more}
# TYPE tether_runs_total counter
tether_runs_total{{agent="shop",stop_reason="stop"}} {done}
tether_runs_total{{agent="shop",stop_reason="error"}} 1
# TYPE tether_run_duration_seconds histogram
tether_run_duration_seconds_bucket{{agent="shop",le="1"}} {done}
tether_run_duration_seconds_bucket{{agent="shop",le="10"}} {more}
tether_run_duration_seconds_bucket{{agent="shop",le="+Inf"}} {more}
tether_run_duration_seconds_sum{{agent="shop"}} 55
tether_run_duration_seconds_count{{agent="shop"}} {more}
# TYPE tether_tokens_total counter
tether_tokens_total{{agent="shop",model="offline",kind="input"}} {tokens}
tether_tokens_total{{agent="shop",model="offline",kind="output"}} 800
# TYPE tether_cost_usd_total counter
tether_cost_usd_total{{agent="shop"}} 0.1234
# TYPE tether_approvals_waiting gauge
tether_approvals_waiting 2
# TYPE tether_approval_wait_seconds histogram
tether_approval_wait_seconds_bucket{{verdict="allowed",le="10"}} 5
tether_approval_wait_seconds_bucket{{verdict="allowed",le="60"}} 6
tether_approval_wait_seconds_bucket{{verdict="allowed",le="+Inf"}} 6
tether_approval_wait_seconds_sum{{verdict="allowed"}} 44
tether_approval_wait_seconds_count{{verdict="allowed"}} 6
# TYPE tether_tool_calls_active gauge
tether_tool_calls_active 1
# TYPE tether_events_unread gauge
tether_events_unread 17
# TYPE tether_model_first_delta_seconds histogram
tether_model_first_delta_seconds_bucket{{model="offline",le="0.5"}} {done}
tether_model_first_delta_seconds_bucket{{model="offline",le="+Inf"}} {done}
tether_model_first_delta_seconds_count{{model="offline"}} {done}
# TYPE tether_model_request_duration_seconds histogram
tether_model_request_duration_seconds_bucket{{model="offline",le="1"}} 30
tether_model_request_duration_seconds_bucket{{model="offline",le="5"}} {done}
tether_model_request_duration_seconds_bucket{{model="offline",le="+Inf"}} {done}
tether_model_request_duration_seconds_sum{{model="offline"}} 60
tether_model_request_duration_seconds_count{{model="offline"}} {done}
# TYPE tether_model_requests_total counter
tether_model_requests_total{{model="offline",stop_reason="stop"}} {done}
# TYPE tether_model_retries_total counter
tether_model_retries_total{{kind="overloaded"}} 4
# TYPE tether_tool_calls_total counter
tether_tool_calls_total{{tool="read_file",outcome="ok"}} {done}
tether_tool_calls_total{{tool="run_command",outcome="ok"}} 5
tether_tool_calls_total{{tool="run_command",outcome="denied"}} 2
# TYPE tether_tool_duration_seconds histogram
tether_tool_duration_seconds_bucket{{tool="read_file",le="0.01"}} {done}
tether_tool_duration_seconds_bucket{{tool="read_file",le="+Inf"}} {done}
tether_tool_duration_seconds_sum{{tool="read_file"}} 0.2
tether_tool_duration_seconds_count{{tool="read_file"}} {done}
"""


def shops(servers: int = 1, steps: int = 30) -> View:
    return view_of(*([shop(step + server) for step in range(steps)] for server in range(servers)))


def runs() -> View:
    pages = [TETHER.format(done=40 + n, more=45 + n, tokens=1200 + 90 * n) for n in range(12)]
    return view_of(pages)


def drawn(view: View, width: int, height: int, now: float = NOW + 30) -> list[str]:
    lines = [plain(line) for line in screen(view, width, height, now)]
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_table(width: int, height: int) -> None:
    is_kept(f"table-{width}x{height}", drawn(shops(), width, height))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_each_label_set(width: int, height: int) -> None:
    view = shops()
    view.toggle_folded()
    view.move(2)
    view.toggle_pin()
    is_kept(f"label-sets-{width}x{height}", drawn(view, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    "name", ["http_request_duration_seconds", "gc_duration_seconds", "http_requests_total"]
)
def test_a_family(name: str, width: int, height: int) -> None:
    view = shops()
    view.selected = name
    view.open()
    is_kept(f"{name}-{width}x{height}", drawn(view, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_several_servers_side_by_side(width: int, height: int) -> None:
    is_kept(f"side-by-side-{width}x{height}", drawn(shops(2), width, height))


def test_several_servers_added_up() -> None:
    view = shops(3)
    view.toggle_sum()
    is_kept("sum-80x24", drawn(view, 80, 24))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_runs_of_a_tether_server(width: int, height: int) -> None:
    view = runs()
    view.show("runs")
    is_kept(f"runs-{width}x{height}", drawn(view, width, height))


def test_help() -> None:
    view = shops()
    view.show("help")
    is_kept("help-80x24", drawn(view, 80, 24))


def test_a_base_line_shows_differences() -> None:
    view = shops()
    view.base = NOW + 20
    lines = drawn(view, 80, 24)
    is_kept("base-line-80x24", lines)


def test_a_server_that_is_down_says_why_and_since_when() -> None:
    view = view_of([shop(0), shop(1), None, None])
    lines = drawn(view, 80, 24, NOW + 8)
    assert lines[0] == "http://127.0.0.1:9000/metrics  DOWN connection refused (last seen 7s ago)"
    assert any(line.startswith("http_requests_total") for line in lines)
    never = drawn(view_of([None]), 80, 24)
    assert "DOWN connection refused (never seen)" in never[0]
    assert "no metrics yet" in never


def test_the_filter_says_what_it_hides() -> None:
    view = shops()
    view.find()
    view.filter("REQUESTS 500")
    lines = drawn(view, 80, 24)
    assert lines[-2].startswith(" find: REQUESTS 500_")
    assert [line for line in lines if "no row has" in line] == [
        "no row has REQUESTS 500; esc takes the filter back"
    ]
    view.toggle_folded()
    assert sum("http_req" in line for line in drawn(view, 80, 24)) == 1


def test_sorts_and_what_is_idle() -> None:
    view = shops()
    view.sort(1)
    names = [row.family.name for row in view.rows()]
    assert names == sorted(names)
    view.sort(1)
    assert view.rows()[0].family.name == "sent_bytes_total"
    view.sort(1)
    assert view.rows()[0].family.name == "last_backup_timestamp_seconds"
    view.toggle_idle()
    assert "build_info" not in [row.family.name for row in view.rows()]


def test_what_has_just_begun_to_move_comes_first() -> None:
    """Bytes always move most; they are not what somebody looks for who has just pressed a button."""
    pages = [
        f"# TYPE b_bytes_total counter\nb_bytes_total {n * 10**6}\n# TYPE c_total counter\nc_total {max(n - 57, 1)}\n"
        for n in range(60)
    ]
    view = view_of(pages)
    view.widen(-1)
    assert [row.family.name for row in view.rows()] == ["c_total", "b_bytes_total"]


def test_history_can_be_walked_through() -> None:
    view = shops()
    view.travel(-5)
    assert view.at == NOW + 24
    [row] = [one for one in view.rows() if one.family.name == "sent_bytes_total"]
    assert row.parts(view.spans)[0].span.now.time == NOW + 24
    assert "PAUSED 5s ago" in drawn(view, 80, 24)[-2]
    view.travel(+100)
    assert view.at is None
    view.toggle_pause()
    view.take(0, answer(shop(60), NOW + 60))
    assert view.at == NOW + 29
    assert "PAUSED 31s ago" in drawn(view, 80, 24)[-2]


HOSTILE = (
    "# HELP evil\x1b[2J_a Help \x1b]0;title\x07 text\n# TYPE evil gauge\n"
    'evil{a="\x1b[31mred\x9b2J",b="\u202egnp.exe",c="日本語",'
    'd="a\u0300\u0301\u0302\u0303",e="\u200b\U000e0041"} 1\n{"na\x1bme\rx"} 2\n'
    f'long{{x="{"y" * 5000}"}} 3\nbad \x1b[2J line\n'
)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (20, 5), (1, 1), (300, 3)])
@pytest.mark.parametrize("page", ["table", "family", "help", "runs"])
def test_nothing_that_a_server_sends_commands_the_terminal(
    page: str, width: int, height: int
) -> None:
    view = view_of([HOSTILE, HOSTILE], [None])
    view.toggle_folded()
    view.filter("\x1b")
    view.filter("")
    if page == "family":
        view.open()
    else:
        view.page = page  # type: ignore[assignment]
    for line in drawn(view, width, height):
        assert line.isprintable(), ascii(line)
        assert not set(line) & set("\u202e\u200b\u200e")


def test_widths_are_those_of_terminals() -> None:
    view = view_of(['{"日本語.の.長い.名前.です.とても.長い.名前"} 1\n' * 1])
    lines = drawn(view, 80, 24)
    row = next(line for line in lines if line.startswith("日"))
    assert "…" in row
    assert width_of(row) <= 80


def test_ages_units_and_no_numbers() -> None:
    page = (
        f"# TYPE a_time_seconds gauge\na_time_seconds {NOW - 90}\n# TYPE b gauge\nb NaN\n"
        "# TYPE c gauge\nc +Inf\n# TYPE d_bytes gauge\nd_bytes 62894080\n"
    )
    lines = drawn(view_of([page]), 80, 24)
    cells = {line.split()[0]: line.split()[1] for line in lines[3:7]}
    assert cells == {"a_time_seconds": "1m30s", "b": "NaN", "c": "+Inf", "d_bytes": "60MiB"}


def test_fifty_thousand_series_are_a_table_like_any_other() -> None:
    """What that costs is in the benchmarks."""
    view = view_of(
        [
            "".join(f'a_total{{id="{n}"}} {n + step * (n == 4321)}\n' for n in range(50_000))
            for step in (0, 1)
        ]
    )
    assert "50000 series" in drawn(view, 80, 24)[0]
    view.toggle_folded()
    assert drawn(view, 80, 24)[3].startswith('a_total{id="4321"}')
    view.move(10**9)
    assert drawn(view, 80, 24)[-3].startswith('a_total{id="9999"}')
    view.filter("4321")
    assert len(view.rows()) == 15
