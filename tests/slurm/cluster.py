"""A single-node SLURM from Debian's packages on loopback, started and stopped by a test.

Everything lies in one folder: its own munge key and socket, ports, state and logs. Only the
configuration is linked into /etc/slurm: Snakemake's plugin takes SLURM_CONF away from the steps
that it starts, so they find it nowhere else. The node has one GPU, which is none (/dev/zero).
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
SYSTEM = Path("/etc/slurm")
CPUS = 4  # more than there may be: jobs of a tiny run may share cores

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=2
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
"""
DEVICES = "Name=gpu File=/dev/zero\n"


@dataclass(frozen=True)
class Job:
    """SLURM's record of a job."""

    number: int
    rule: str  # of Snakemake's job; empty for another's
    wildcards: str  # joined by "_"
    run: str  # of Snakemake
    state: str
    start: datetime | None
    end: datetime | None
    minutes: int
    cpus: int
    memory_mb: int
    gpus: int


def obstacle() -> str | None:
    """Why no SLURM can be started here."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"not installed: {', '.join(missing)} (Debian's packages slurm-wlm and munge)"
    if os.geteuid() != 0:
        return "SLURM's daemons are started as root"
    if (SYSTEM / "slurm.conf").exists():
        return f"{SYSTEM}/slurm.conf: this machine has a SLURM of its own"
    return None


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """A SLURM that takes jobs, with all that it keeps in ``folder``; nothing of it stays."""
    _configure(folder)
    with ExitStack() as stack:
        for file in ("slurm.conf", "gres.conf"):
            stack.enter_context(_linked(SYSTEM / file, folder / file))
        munge = ["munged", "--foreground", "--force"]  # --force: pytest's folders are closed
        munge += [f"--{name}-file={folder}/munge.{name}" for name in ("key", "log", "pid", "seed")]
        stack.enter_context(_daemon([*munge, f"--socket={folder}/munge.socket"], folder))
        wait_for((folder / "munge.socket").exists, "munge's socket")
        stack.enter_context(_daemon(["slurmctld", "-D"], folder))
        stack.enter_context(_daemon(["slurmd", "-D"], folder))
        wait_for(lambda: "idle" in said("sinfo", "--noheader", "--format=%T"), "the node")
        stack.callback(cancel_all)
        yield


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    controller_port, node_port = _free_ports(2)
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(
        folder=folder, host=host, controller_port=controller_port, node_port=node_port, cpus=CPUS
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(DEVICES)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _linked(link: Path, target: Path) -> Iterator[None]:
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    try:
        yield
    finally:
        link.unlink()


@contextmanager
def _daemon(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.txt").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def said(*command: str) -> str:
    """What a command prints; nothing where it fails, as it does before the daemons answer."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def wait_for(ready: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Return as soon as ``ready`` says so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not there after {seconds:.0f} s"
        time.sleep(0.1)


def jobs() -> list[Job]:
    """SLURM's records of all jobs so far, in the order of their submission."""
    lines = said("scontrol", "--oneliner", "show", "job").splitlines()
    found = [_job(dict(re.findall(r"(\w+)=(\S*)", line))) for line in lines if "JobId=" in line]
    return sorted(found, key=lambda job: job.number)


def _job(record: dict[str, str]) -> Job:
    rule, _, wildcards = record.get("Comment", "").removeprefix("rule_").partition("_wildcards_")
    tres = dict(part.split("=") for part in record["TRES"].split(","))
    return Job(
        number=int(record["JobId"]),
        rule=rule,
        wildcards=wildcards,
        run=record["JobName"],
        state=record["JobState"],
        start=_moment(record["StartTime"]),
        end=_moment(record["EndTime"]),
        minutes=_minutes(record["TimeLimit"]),
        cpus=int(tres["cpu"]),
        memory_mb=int(tres["mem"].removesuffix("M")),
        gpus=int(record.get("TresPerJob", "0").removeprefix("gres:gpu:")),
    )


def _moment(text: str) -> datetime | None:
    return None if text == "Unknown" else datetime.fromisoformat(text)


def _minutes(text: str) -> int:
    """A time limit as SLURM writes it: [days-]hours:minutes:seconds."""
    days, _, clock = text.rpartition("-")
    hours, minutes, _ = clock.split(":")
    return int(days or 0) * 24 * 60 + int(hours) * 60 + int(minutes)


def cancel_all() -> None:
    """Cancel every job and wait until SLURM has cleared up after the last."""
    said("scancel", "--user=root")
    wait_for(lambda: not said("squeue", "--noheader"), "the end of all jobs")
