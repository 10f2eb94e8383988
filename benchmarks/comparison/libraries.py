# SPDX-License-Identifier: MIT
"""What is compared: which libraries there are, how collective.c is built for each and started there."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = HERE / "collective.c"
CFLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", f"-I{ROOT}"]


class Problem(Exception):
    """Something that the user is told in a sentence."""


def first_line(*command):
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return text.strip().splitlines()[0] if text.strip() else ""


def compile_with(command, program):
    # What a compiler that is cut off leaves goes with our directory.
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "TMPDIR": str(program.parent)})
    if done.returncode:
        raise Problem(f"cannot build {program.name}: {' '.join(command)}\n{done.stderr}")
    return program


class Crossing:
    """How long a cache line takes between two cores (crossing.c), now and then: it may change."""

    def __init__(self, work):
        self.program, self.ns = work / "crossing", []
        compile_with(["cc", *CFLAGS, "-D_GNU_SOURCE", "-pthread", "-o", str(self.program),
                      str(SOURCE.parent / "crossing.c")], self.program)

    def measure(self):
        line = first_line(str(self.program))
        if line.isdigit():
            self.ns.append(int(line))

    def text(self):
        if not self.ns:
            return ""
        low, high = min(self.ns) / 1000, max(self.ns) / 1000
        return f", a cache line crosses in {low:.2f}" + (f" to {high:.2f} us" if high > low else " us")


class Art:
    name, short = "ART", "art"

    def __init__(self, build, work, short="art", ft=True):
        self.short, self.build, self.ft = short, Path(build), ft
        self.name = "ART" if short == "art" else f"ART, {short}"
        if not (self.build / "artrun").exists():
            raise Problem(f"{self.build} has no artrun: it is no build of ART")
        self.program = compile_with(
            ["cc", *CFLAGS, f"-I{ROOT}/include", "-o", str(work / "art"), str(SOURCE),
             f"-L{self.build}/.libs", f"-Wl,-rpath,{self.build}/.libs", "-lart"], work / "art")
        self.version = first_line(str(self.build / "artrun"), "--version")

    def command(self, ranks, transport):
        env = {"ART_TRANSPORT": "tcp" if transport == "tcp" else "shm", "ART_CONFIG": ""}
        if not self.ft:
            env["ART_FT"] = "off"
        return [str(self.build / "artrun"), "-n", str(ranks), str(self.program)], env


class OpenMPI:
    name, short = "Open MPI", "openmpi"

    def __init__(self, work):
        if not shutil.which("mpicc.openmpi") or not shutil.which("mpirun.openmpi"):
            raise Problem("Open MPI is not there (scripts/deps.sh peers installs it): it is left out")
        self.program = compile_with(["mpicc.openmpi", *CFLAGS, "-DWITH_MPI", "-o", str(work / "openmpi"),
                                     str(SOURCE)], work / "openmpi")
        self.version = re.sub(r".*\) ", "Open MPI ", first_line("mpirun.openmpi", "--version"))

    def command(self, ranks, transport):
        words = ["mpirun.openmpi", "-n", str(ranks)]
        if ranks > len(os.sched_getaffinity(0)):
            words.append("--oversubscribe")
        if transport == "tcp":
            words += ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"]
        return words + [str(self.program)], {"OMPI_ALLOW_RUN_AS_ROOT": "1",
                                             "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


class Mpich:
    name, short = "MPICH", "mpich"

    def __init__(self, work):
        if not shutil.which("mpicc.mpich") or not shutil.which("mpiexec.mpich"):
            raise Problem("MPICH is not there (scripts/deps.sh peers installs it): it is left out")
        self.program = compile_with(["mpicc.mpich", *CFLAGS, "-DWITH_MPI", "-o", str(work / "mpich"),
                                     str(SOURCE)], work / "mpich")
        self.version = "MPICH " + first_line("mpichversion").split()[-1]

    def command(self, ranks, transport):
        env = {}
        if transport == "tcp":  # every rank as if on a host of its own, and nothing but sockets below
            env = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "lo",
                   "FI_PROVIDER": "tcp", "FI_TCP_IFACE": "lo"}
        return ["mpiexec.mpich", "-n", str(ranks), str(self.program)], env


ENDING = {signal.SIGINT, signal.SIGTERM}


def end(process):
    """Ends a starter and, if that does not help, all it has started."""
    for sig, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
        try:
            if sig == signal.SIGTERM:
                process.send_signal(sig)
            else:
                os.killpg(process.pid, sig)
        except ProcessLookupError:
            pass
        try:
            process.communicate(timeout=patience)
            return
        except subprocess.TimeoutExpired:
            continue


def run_job(library, ranks, transport, arguments, seconds, log):
    """One job: ({(op, bytes): us}, what went wrong or None). What was printed before the end counts."""
    command, extra = library.command(ranks, transport)
    env = {**{k: v for k, v in os.environ.items() if not k.startswith(("ART_", "OMPI_", "MPIR_", "UCX_"))},
           **extra}
    with open(log, "w+") as out:
        # Between the start and the first line that would end the job no signal may come through.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        process = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, env=env, start_new_session=True,
                                   preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask))
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            end(process)
            code = None
        except BaseException:
            end(process)
            raise
        out.seek(0)
        text = out.read()
    rows = {}
    for op, size, us in re.findall(r"^(\w+) (\d+) \d+ ([0-9.]+)$", text, re.M):
        rows[op, int(size)] = float(us)
    if code is None:
        return rows, f"was not done after {seconds:.0f} s"
    if code:
        return rows, f"exit status {code}: {' '.join(text.strip().splitlines()[-3:])[:300]}"
    return rows, None
