"""Builds the functions' zips: the same bytes from the same inputs, so that Terraform sees a change only where one is.

For AWS a function's zip holds its code, and its third-party packages come in layers. The embedded AWS does not
unpack layers for a custom runtime, so there a zip holds everything, AWS's runtime client included.

Beside each module is its bytecode: Lambda can't keep what it compiles, and would do it anew at each cold start, which
takes longer than all the rest.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipeline import ROOT
from pipeline.console import files
from pipeline.deploy import botocore_data
from pipeline.deploy.locks import one_at_a_time
from pipeline.errors import CliError, UsageError

LAYERS = ("aws", "json", "schema", "sql")
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "starter": ("aws", "json"),
    "validate": ("aws", "json", "schema", "sql"),
    "transform": ("aws", "sql"),
    "write": ("aws", "json", "sql"),
    "record_failure": ("aws", "json"),
    "record_run": ("aws", "json"),
    "reconciler": ("aws", "json"),
}
"""The layers of each function; infra/functions.tf says the same, and a test holds the two together."""

CONTRACTS = ROOT / "contracts"
"""The project's own contracts, which are deployed unless the variable contracts_dir names other ones."""

AWS_PYTHON = "3.13"
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
_AWS_PLATFORM = "{machine}-manylinux_2_28"  # Amazon Linux 2023 has glibc 2.34
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_CACHE = "__pycache__"
_NOT_PACKED = (
    *("bin", "_duckdb-stubs", ".lock"),
    *("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"),
)


@dataclass(frozen=True)
class Runtime:
    """Where the zips will run."""

    name: str
    python: str
    architecture: str
    embedded: bool
    contracts: Path = field(default=CONTRACTS, repr=False)
    """The folder of the contracts that the zips hold; no part of the name that packages are kept under."""

    @property
    def folder(self) -> Path:
        """Where its zips are: build/aws or build/local, and beside those for other contracts than the project's."""
        if self.contracts == CONTRACTS:
            return ROOT / "build" / self.name
        return ROOT / "build" / f"{self.name}-{hashlib.sha256(str(self.contracts).encode()).hexdigest()[:8]}"


def aws_runtime(architecture: str = "arm64", contracts: Path = CONTRACTS) -> Runtime:
    return Runtime("aws", AWS_PYTHON, architecture, embedded=False, contracts=contracts)


def local_runtime(contracts: Path = CONTRACTS) -> Runtime:
    """This machine's own Python, outside of any virtual environment."""
    machine = platform.machine().lower()
    architecture = "arm64" if machine in ("arm64", "aarch64") else "x86_64"
    return Runtime("local", f"{sys.version_info.major}.{sys.version_info.minor}", architecture, True, contracts)


def feeds(contracts: Path) -> list[str]:
    """The datasets that a folder holds contracts of. Raises UsageError where there is none."""
    found = sorted(path.parent.name for path in contracts.glob("*/contract.json"))
    if not found:
        raise UsageError(
            f"There is no contract in {contracts}{'' if contracts.is_dir() else ', which is no folder'}.",
            "Let contracts_dir name a folder that holds one for each feed, with its contract.json, as contracts/ does: "
            "in infra/terraform.tfvars or by TF_VAR_contracts_dir, absolute or relative to infra/.",
        )
    return found


def build(runtime: Runtime) -> list[Path]:
    """Build every zip that is not up to date; answers all of them.

    Raises CliError where packages can't be fetched, UsageError where there are no contracts.
    """
    with one_at_a_time(ROOT / "build" / "lock"):
        return _build(runtime)


def _build(runtime: Runtime) -> list[Path]:
    zips = []
    datasets = feeds(runtime.contracts)
    if _interpreter(runtime) is None:
        print(f"· without bytecode, since python{runtime.python} is not here: cold starts take longer", file=sys.stderr)
    if not runtime.embedded:
        for layer in LAYERS:
            tree = {f"python/{name}": path for name, path in _packages(f"layer-{layer}", runtime).items()}
            zips.append(_write_zip(runtime.folder / f"layer-{layer}.zip", tree))
    code = _compiled_code(runtime)
    for function, layers in FUNCTIONS.items():
        tree = dict(_code(function, code)) | dict(_contracts(runtime.contracts, datasets))
        if runtime.embedded:
            for group in (*(f"layer-{layer}" for layer in layers), "local-runtime"):
                tree |= _packages(group, runtime)
            tree["bootstrap"] = _bootstrap(runtime)
        zips.append(_write_zip(runtime.folder / f"{function}.zip", tree))
    return zips


def _compiled_code(runtime: Runtime) -> Path:
    """A folder with a copy of `functions/` and its bytecode, made once for each content and each runtime."""
    made_of = hashlib.sha256(repr((runtime, _interpreter(runtime))).encode())
    for path in _files(ROOT / "functions", bytecode=False):
        made_of.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    folder = ROOT / "build" / "packages" / f"code-{runtime.name}-{made_of.hexdigest()[:16]}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(f".{os.getpid()}")
        shutil.copytree(ROOT / "functions", unfinished / "functions", ignore=shutil.ignore_patterns(_CACHE))
        _compile(unfinished, runtime)
        unfinished.replace(folder)
    return folder


def _code(function: str, compiled: Path) -> Iterator[tuple[str, Path]]:
    """A function's own package and what is common."""
    package = compiled / "functions"
    own = [package / "__init__.py", *package.glob(f"{_CACHE}/__init__.*")]
    for path in [*own, *_files(package / "common"), *_files(package / function)]:
        yield str(path.relative_to(compiled)), path


def _contracts(contracts: Path, datasets: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Every contract but its saved queries: no function runs those."""
    for dataset in datasets:
        for path in _files(contracts / dataset):
            if path.parent.name != "queries":
                yield f"contracts/{path.relative_to(contracts)}", path


def _packages(group: str, runtime: Runtime) -> dict[str, Path]:
    """The files of a requirements group, unpacked once for each content of its lock file and each runtime."""
    requirements = ROOT / "requirements" / f"{group}.txt"
    pruning = Path(botocore_data.__file__).read_bytes()
    made_of = requirements.read_bytes() + repr((runtime, _interpreter(runtime))).encode() + pruning
    key = hashlib.sha256(made_of).hexdigest()[:16]
    folder = ROOT / "build" / "packages" / f"{group}-{runtime.name}-{key}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(f".{os.getpid()}")
        _install(requirements, unfinished, runtime)
        if group == "layer-aws":
            botocore_data.prune(unfinished / "botocore" / "data")
        _compile(unfinished, runtime)
        unfinished.replace(folder)
    return {str(path.relative_to(folder)): path for path in _files(folder)}


def _install(requirements: Path, folder: Path, runtime: Runtime) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder), "--require-hashes"]
    if runtime.embedded:
        command += ["--python", sys.executable]
    else:
        machine = ARCHITECTURES[runtime.architecture]
        command += ["--python-version", runtime.python, "--python-platform", _AWS_PLATFORM.format(machine=machine)]
        command += ["--only-binary", ":all:"]
    done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise CliError(
            f"The packages of {requirements.relative_to(ROOT)} could not be installed:\n{done.stderr.strip()}",
            "Check that the package index can be reached, then build again.",
        )


def _compile(folder: Path, runtime: Runtime) -> None:
    """Put its bytecode beside each module, for the runtime's version of Python, if that is on this machine.

    It is taken without a look at the source (PEP 552, unchecked), since a zip keeps no times; and it names no path. A
    module that does not compile, as some packages carry for other versions, goes without.
    """
    if interpreter := _interpreter(runtime):
        options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder)]
        subprocess.run([interpreter, "-m", "compileall", *options, str(folder)], capture_output=True, check=False)


@cache
def _interpreter(runtime: Runtime) -> Path | None:
    """A Python of the version that the zips will run on, or None."""
    if runtime.embedded:
        return _own_interpreter(runtime)
    command = [sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", "--no-project", runtime.python]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def _own_interpreter(runtime: Runtime) -> Path:
    """This machine's own Python, outside of any virtual environment."""
    return Path(sys.base_prefix) / "bin" / f"python{runtime.python}"


def _bootstrap(runtime: Runtime) -> Path:
    """The custom runtime's entry: AWS's runtime client on this machine's Python, seeing only what is in the zip."""
    interpreter = _own_interpreter(runtime)
    path = runtime.folder / "bootstrap"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        'export PYTHONPATH="$LAMBDA_TASK_ROOT" PYTHONDONTWRITEBYTECODE=1\n'
        f'exec "{interpreter}" -S -m awslambdaric "$_HANDLER"\n'
    )
    return path


def _files(folder: Path, *, bytecode: bool = True) -> list[Path]:
    """The files under `folder` that belong in a zip, in a fixed order."""
    left_out = {*_NOT_PACKED, *([] if bytecode else [_CACHE])}
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not set(path.relative_to(folder).parts) & left_out
    )


def _write_zip(path: Path, tree: Mapping[str, Path]) -> Path:
    """Write `tree` (name in the zip → file) to `path`, unless the zip there was made of the same."""
    fingerprint = hashlib.sha256(Path(__file__).read_bytes())
    for name in sorted(tree):
        fingerprint.update(name.encode() + b"\0" + hashlib.sha256(tree[name].read_bytes()).digest())
    stamp = path.with_suffix(".inputs")
    if path.is_file() and stamp.is_file() and stamp.read_text() == fingerprint.hexdigest():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.replacing(path) as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name in sorted(tree):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the permissions count
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            archive.writestr(entry, tree[name].read_bytes())
    files.write_text(stamp, fingerprint.hexdigest())
    return path
