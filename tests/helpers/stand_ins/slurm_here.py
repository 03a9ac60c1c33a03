"""A real Slurm with two nodes on this machine, whose daemons end with the block that starts it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("first", "second")
UP = ("idle", "mixed", "allocated", "completing")
CONFIG = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=17817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
JobRequeue=1
MaxArraySize=2
KillWait=5
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
NodeName=first NodeHostname={host} NodeAddr=127.0.0.1 Port=17821 CPUs=2 RealMemory=4000
NodeName=second NodeHostname={host} NodeAddr=127.0.0.1 Port=17822 CPUs=2 RealMemory=4000
PartitionName=main Nodes=first,second Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=first,second MaxTime=1 State=UP
PartitionName=closed Nodes=first,second AllowAccounts=physics MaxTime=INFINITE State=UP
"""


def find_missing() -> str | None:
    """What keeps Slurm from being started here; None if nothing does."""
    missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "Slurm's daemons need root"


@contextmanager
def open_slurm(folder: Path) -> Iterator[None]:
    """Start Slurm with its files in a folder, and set SLURM_CONF in a block."""
    (folder / "state").mkdir(parents=True)
    host = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host.strip(), folder=folder))
    has_munge = subprocess.run(["pgrep", "-x", "munged"], capture_output=True).returncode == 0
    if not has_munge:
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        subprocess.run(
            ["su", "-s", "/bin/sh", "munge", "-c", shutil.which("munged") or ""], check=True
        )
    os.environ["SLURM_CONF"] = str(config)
    try:
        subprocess.run(["slurmctld", "-f", str(config)], check=True)
        for node in NODES:
            start_node(node)
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=60)
        for name in (*NODES, "controller"):
            stop_daemon(folder, name)
        del os.environ["SLURM_CONF"]
        if not has_munge:
            os.kill(int(Path("/run/munge/munged.pid").read_text()), signal.SIGTERM)


def start_node(node: str) -> None:
    """Start the daemon of a node, and wait until it takes jobs."""
    subprocess.run(["slurmd", "-f", os.environ["SLURM_CONF"], "-N", node], check=True)
    deadline = time.monotonic() + 30
    while ask("sinfo", "-h", "-n", node, "-p", "main", "-o", "%T").strip() not in UP:
        assert time.monotonic() < deadline, f"{node} does not start"
        time.sleep(0.3)


def stop_daemon(folder: Path, name: str) -> None:
    """Kill a daemon, as when its machine loses power."""
    path = folder / f"{name}.pid"
    if path.exists():
        os.kill(int(path.read_text()), signal.SIGKILL)
        path.unlink()


def kill_node(folder: Path, node: str) -> None:
    """Kill a node's daemon and all that its jobs run, and let the controller know at once."""
    stop_daemon(folder, node)
    ask("scontrol", "update", f"nodename={node}", "state=down", "reason=killed")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_here = f"SLURMD_NODENAME={node}\0".encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        if is_here:
            os.kill(int(process.name), signal.SIGKILL)


def ask(*command: str) -> str:
    """What a command prints; nothing if it fails."""
    return subprocess.run(command, capture_output=True, text=True).stdout
