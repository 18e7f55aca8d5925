"""The sandbox against programs that try to pass without solving the problem, or to do harm."""

import platform
import time
from collections.abc import Iterator

import pytest
from attacks import ATTACKS, Attack, kernel_attacks
from surroundings import SECRET, Processes, Surroundings, eventually

from selfcorrect.grading.sandbox.limits import Limits, Outcome
from selfcorrect.grading.sandbox.pool import Sandbox, protection
from selfcorrect.records import ProgramTests

WITHOUT = {"all layers": frozenset(), "without namespaces": frozenset({"namespaces"})}
USUAL = Limits(cpu_seconds=5, wall_seconds=20, memory=128 * 2**20, output=2**20)
SHORT = Limits(cpu_seconds=5, wall_seconds=0.4, memory=128 * 2**20, output=2**20)

# What a program finds, told by the exception that it raises: nothing of the ones before it.
PROBE = """
import builtins, json, os, sys, threading
raise Exception(repr((
    os.listdir("."), oct(os.stat(".").st_mode), os.stat(".").st_mtime > 10**9,
    os.path.basename(os.getcwd()), oct(os.umask(0)), sorted(os.environ), len(builtins.__dict__),
    len(json.__dict__), len(sys.path), len(sys.modules), sys.getrecursionlimit(),
    threading.active_count(),
)))
"""


class Boxes:
    """Sandboxes with the same layers, for attacks that end by themselves and for those that do not.

    And what a program finds in them.
    """

    def __init__(self, without: frozenset[str]) -> None:
        self.usual = Sandbox(limits=USUAL, without=without)
        self.short = Sandbox(limits=SHORT, without=without)
        self.found_at_first = self.found(self.usual)
        assert self.found(self.short) == self.found_at_first

    @staticmethod
    def found(sandbox: Sandbox) -> str:
        for _ in range(10):  # a limit may be too short for a machine that is busy
            result = sandbox.run(PROBE, ProgramTests("f", "pass"))
            if result.outcome is not Outcome.TIMEOUT:
                break
        return result.reason

    def close(self) -> None:
        self.usual.close()
        self.short.close()


@pytest.fixture(scope="module")
def boxes(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    without = WITHOUT[request.param]
    standing = protection(without)
    if not standing.safe:
        pytest.skip(f"no safe sandbox here: {standing}")
    if "namespaces" in standing.missing and not without:
        pytest.skip(f"as without namespaces: {standing}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_SECRET", SECRET)
        made = Boxes(without)
        yield made
        made.close()


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    if platform.system() != "Linux":
        pytest.skip("the surroundings are Linux's")
    made = Surroundings(tmp_path_factory.mktemp("around"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


KERNEL = kernel_attacks(platform.machine()) if platform.machine() in ("x86_64", "aarch64") else []


@pytest.mark.parametrize("attack", [*(a for a in ATTACKS if not a.once), *KERNEL], ids=str)
@pytest.mark.parametrize("boxes", WITHOUT, indirect=True)
def test_no_attack_wins(
    attack: Attack, boxes: Boxes, surroundings: Surroundings, processes: Processes
) -> None:
    check(attack, boxes, surroundings, processes)


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.once], ids=str)
@pytest.mark.parametrize("boxes", ["without namespaces"], indirect=True)
def test_no_attack_wins_that_takes_its_time(
    attack: Attack, boxes: Boxes, surroundings: Surroundings, processes: Processes
) -> None:
    check(attack, boxes, surroundings, processes)


def check(attack: Attack, boxes: Boxes, surroundings: Surroundings, processes: Processes) -> None:
    sandbox = boxes.short if attack.hangs else boxes.usual
    tests = ProgramTests("f", surroundings.filled(attack.tests), attack.context)
    before = processes.now()
    started = time.monotonic()

    result = sandbox.run(surroundings.filled(attack.program), tests)

    took = time.monotonic() - started
    assert result.outcome in attack.outcomes, result
    assert took < sandbox.limits.wall_seconds + 15  # on a machine that is busy
    assert surroundings.harm() == []
    assert len(result.reason) <= 300
    assert result.reason.isprintable()  # nothing that cannot be written down, or moves a cursor
    # The next program finds nothing of it, and gets its own verdict.
    assert boxes.found(sandbox) == boxes.found_at_first
    assert eventually(lambda: len(processes.now()) <= len(before))


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.shown], ids=str)
def test_attack_wins_where_nothing_stops_it(attack: Attack, surroundings: Surroundings) -> None:
    assert surroundings.wins_unprotected(attack)


def test_every_way_to_lose_is_seen() -> None:
    assert {outcome for attack in ATTACKS for outcome in attack.outcomes} == (
        set(Outcome) - {Outcome.PASSED}
    )
