"""The process between a tool and a command: it ends all that the command has started.

A program by itself, run as `python -I -S supervisor.py MODE REACH GRACE`, with the command in the environment as
`TETHER_COMMAND`. Its output is the command's. Its standard input is a socket. There it takes orders (`stop`: ask the
processes to end, and end them after the grace; `kill`, or the end of the socket: end them now), and reports:

    shell PID           the shell has been started
    exit CODE           it has ended
    ended PID COMMAND   this process still ran when the command was over, and was ended
    left PID COMMAND    this one could not be ended
    over                nothing else of the command is left

In the mode `while_shell` the command is over when its shell is; in the mode `while_any`, when all its processes are.

With the reach `all` the supervisor is a child subreaper (prctl(2), Linux alone): a process that loses its parent
becomes its child, so that neither `setsid` nor a double fork leads out of its reach. The program that uses tether is
not made one: the orphans of everything else that it starts would come to it as well, and nobody would wait for them.
With the reach `group` it finds the shell's process group, and what can be reached from parent to child.

The supervisor outlives the program that started it by as long as it needs: where that is killed, the socket ends.

It imports little, so that it starts fast.
"""

import os
import select
import signal
import sys
import time

try:
    import ctypes
except ImportError:  # a Python that was built without it
    ctypes = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_ORDERS = 0
"""The descriptor of the socket."""
_SETTLING = 0.2
"""Seconds that what a shell leaves behind has to end by itself: the end of a pipe may take a moment longer."""
_KILLING = 2.0
"""Seconds after which a process that was killed is given up: another user's, or one that waits for a device."""
_TICK = 0.05
_LONG_TICK = 1.0
"""Seconds between two looks at processes that are not children, while they are being ended and while they run."""
_SHOWN = 20
_WIDTH = 100
_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """One command from its start until nothing of it is left.

    Args:
        mode: `while_shell` or `while_any`.
        reach: `all` or `group`.
        grace: seconds between asking processes to end and ending them.
    """

    def __init__(self, mode: str, reach: str, grace: float) -> None:
        self._while_any = mode == "while_any"
        self._grace = grace
        self._adopts = reach == "all" and _become_subreaper()
        self._inputs = [_ORDERS]
        self._shell = 0
        self._shell_ended = False
        self._childless = False
        self._stop = False
        self._kill = False

    def run(self, command: bytes) -> None:
        """Carry the command out."""
        defaults = _ignore_signals()
        self._inputs.append(_wake_at_a_childs_end())
        self._shell = _start_shell(command, defaults)
        # The output is over when no process of the command holds it any more.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        self._tell(f"shell {self._shell}")
        self._wait(None, lambda: self._stop or self._is_over())
        self._wait(_SETTLING, lambda: self._stop or self._is_empty())
        if not self._is_empty():
            self._end_all()
        self._tell("over")

    def _end_all(self) -> None:
        """Ask what is there to end, end what has not after the grace, and report both."""
        members = self._members()
        names = {pid: _name(pid) for pid in members[:_SHOWN]}
        if not self._kill:
            _signal(members, signal.SIGTERM)
            self._wait(self._grace, lambda: self._kill or self._is_empty())
        give_up = time.monotonic() + _KILLING
        # Again and again: what is being killed may still start others.
        while not self._is_empty() and time.monotonic() < give_up:
            _signal(self._members(), signal.SIGKILL)
            self._wait(_TICK, self._is_empty)
        left = [] if self._is_empty() else self._members()
        for pid in left[:_SHOWN]:
            self._tell(f"left {pid} {names.get(pid) or _name(pid)}")
        for pid, name in names.items():
            if pid not in left and not self._stop:
                self._tell(f"ended {pid} {name}")

    def _wait(self, seconds: "float | None", until: "Callable[[], bool]") -> None:
        """Wait until a condition holds, or the time is over."""
        end = None if seconds is None else time.monotonic() + seconds
        while not until():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            # Nothing tells of the end of a process that is not a child.
            tick = _LONG_TICK if left is None else min(left, _TICK)
            self._take_in(left if self._adopts or not self._shell_ended else tick)

    def _take_in(self, seconds: "float | None") -> None:
        """Wait for the next order or end of a child."""
        ready, _, _ = select.select(self._inputs, [], [], seconds)
        for source in ready:
            try:
                said = os.read(source, 4096)
            except OSError:  # reset, which is how a socket ends that held unread reports
                said = b""
            if source == _ORDERS:
                self._obey(said)
        self._take_note_of_ends()

    def _obey(self, order: bytes) -> None:
        if not order:
            self._inputs.remove(_ORDERS)
        self._stop = True
        self._kill = self._kill or not order or b"kill" in order

    def _take_note_of_ends(self) -> None:
        """Wait for the children that have ended: the shell, and those that have lost their parents."""
        while not self._childless:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if not pid:
                return
            if pid == self._shell:
                self._shell_ended = True
                self._tell(f"exit {os.waitstatus_to_exitcode(status)}")

    def _is_over(self) -> bool:
        return self._is_empty() if self._while_any else self._shell_ended

    def _is_empty(self) -> bool:
        """Say whether nothing of the command runs any more."""
        return self._childless and (self._adopts or not self._members())

    def _members(self) -> "list[int]":
        """Find the processes of the command that run."""
        processes = _processes()
        mine = {os.getpid()}
        found: list[int] = []
        while more := [
            pid
            for pid, parent, group in processes
            if pid not in mine and (parent in mine or (group == self._shell and not self._adopts))
        ]:
            mine.update(more)
            found += more
        return found

    def _tell(self, line: str) -> None:
        try:
            os.write(_ORDERS, f"{line}\n".encode(errors="replace"))
        except OSError:  # nobody is there any more
            return


def _become_subreaper() -> bool:
    if ctypes is None:
        return False
    try:
        libc = ctypes.CDLL(None)
        one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
        return bool(libc.prctl(_SET_CHILD_SUBREAPER, one, zero, zero, zero) == 0)
    except (AttributeError, OSError):
        return False


def _ignore_signals() -> "dict[int, Any]":
    """Ignore the signals that end a process: a command may send them to whatever it finds.

    Returns:
        What the command's shell is to do at each of them.
    """
    ignored = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    actions: dict[int, Any] = {n: signal.signal(n, signal.SIG_IGN) for n in ignored}
    # Python ignores the first two for itself alone.
    return actions | dict.fromkeys((signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD), signal.SIG_DFL)


def _wake_at_a_childs_end() -> int:
    """Make a descriptor that is readable once a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def _start_shell(command: bytes, signals: "dict[int, Any]") -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.set_wakeup_fd(-1)
        for number, action in signals.items():
            signal.signal(number, action)
        os.execv("/bin/sh", [b"/bin/sh", b"-c", command])
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(127)


def _processes() -> "list[tuple[int, int, int]]":
    """List the processes that run: each with its parent and its group."""
    try:
        names = os.listdir("/proc/self") and os.listdir("/proc")
    except OSError:
        return _processes_by_ps()
    return [found for name in names if name.isdigit() and (found := _process(name))]


def _process(name: str) -> "tuple[int, int, int] | None":
    """Read about a process, see proc(5); None where it has ended."""
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # Where the first thread has ended, the others still make a process.
    has_ended = fields[0] in {b"Z", b"X"} and int(fields[17]) < 2
    return None if has_ended else (int(name), int(fields[1]), int(fields[2]))


def _processes_by_ps() -> "list[tuple[int, int, int]]":
    with os.popen("ps -A -o pid= -o ppid= -o pgid= -o stat=") as listed:
        rows = [line.split() for line in listed]
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows if not row[3].startswith("Z")]


def _name(pid: int) -> str:
    """What a process is called: its arguments in one line, as far as they go."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            name = file.read(4096).replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        with os.popen(f"ps -o args= -p {pid}") as listed:
            name = listed.read()
    return " ".join(name.split())[:_WIDTH]


def _signal(pids: "Sequence[int]", number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:  # it has ended, or belongs to another user
            continue


if __name__ == "__main__":
    MODE, REACH, GRACE = sys.argv[1:]
    Supervisor(MODE, REACH, float(GRACE)).run(os.environb.pop(b"TETHER_COMMAND"))
