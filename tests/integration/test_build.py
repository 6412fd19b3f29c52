"""The zips: reproducible, and with everything that each function imports."""

import ast
import importlib.util
import os
import re
import shutil
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader
from botocore.session import Session
from moto.core.botocore_stubber import MockRawResponse

from pipeline import ROOT
from pipeline.deploy import botocore_data, build

MODULES = {
    "backports": "json",
    "botocore": "aws",
    "s3transfer": "aws",
    "urllib3": "aws",
    "aws_lambda_powertools": "aws",
    "orjson": "json",
    "jsonschema_rs": "schema",
    "msgspec": "json",
    "duckdb": "sql",
}
"""The layer of each third-party module of the functions."""


def tree(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    files = {"b.py": "b", "a/c.py": "c", "bootstrap": "#!/bin/sh"}
    one = build._write_zip(tmp_path / "1" / "x.zip", tree(tmp_path / "one", files))
    two = build._write_zip(tmp_path / "2" / "x.zip", tree(tmp_path / "two", dict(reversed(files.items()))))
    assert one.read_bytes() == two.read_bytes()


def test_only_a_changed_input_changes_the_zip(tmp_path: Path) -> None:
    path = build._write_zip(tmp_path / "x.zip", tree(tmp_path / "in", {"a.py": "1"}))
    first, written = path.read_bytes(), path.stat().st_mtime_ns
    build._write_zip(path, tree(tmp_path / "in", {"a.py": "1"}))
    assert path.stat().st_mtime_ns == written
    build._write_zip(path, tree(tmp_path / "in", {"a.py": "2"}))
    assert path.read_bytes() != first


def test_only_the_bootstrap_is_executable(tmp_path: Path) -> None:
    path = build._write_zip(tmp_path / "x.zip", tree(tmp_path / "in", {"a.py": "1", "bootstrap": "2"}))
    with zipfile.ZipFile(path) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert modes == {"a.py": 0o644, "bootstrap": 0o755}


def test_files_that_differ_between_machines_are_not_packed(tmp_path: Path) -> None:
    names = ["a.py", "__pycache__/a.pyc", "bin/tool", "x.dist-info/RECORD", "x.dist-info/METADATA"]
    tree(tmp_path, dict.fromkeys(names, ""))
    found = [str(path.relative_to(tmp_path)) for path in build._files(tmp_path, bytecode=False)]
    assert found == ["a.py", "x.dist-info/METADATA"]


def test_bytecode_is_unchecked_and_names_no_path(tmp_path: Path) -> None:
    tree(tmp_path, {"package/module.py": "def work():\n    raise ValueError\n"})
    build._compile(tmp_path, build.local_runtime())
    (cached,) = (tmp_path / "package" / "__pycache__").iterdir()
    data = cached.read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 0b01, "a hash of the source, which is not checked (PEP 552)"
    assert str(tmp_path).encode() not in data
    assert cached in build._files(tmp_path)


def test_changed_code_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    module = tmp_path / "functions" / "step" / "index.py"
    folders = []
    for source in ("one = 1", "one = 2", "one = 1"):
        tree(tmp_path, {"functions/__init__.py": "", "functions/step/index.py": source})
        folders.append(build._compiled_code(build.local_runtime()))
        assert (folders[-1] / "functions" / "step" / "index.py").read_text() == source == module.read_text()
    assert folders[0] == folders[2] != folders[1]


def test_terraform_and_the_build_agree_on_the_layers() -> None:
    text = (ROOT / "infra" / "functions.tf").read_text()
    in_terraform = dict(re.findall(r"^    (\w+) = \{.*?layers\s*=\s*\[(.*?)\]", text, re.DOTALL | re.MULTILINE))
    assert {name: tuple(re.findall(r'"(\w+)"', layers)) for name, layers in in_terraform.items()} == dict(
        build.FUNCTIONS
    )


def imports(path: Path, seen: set[Path]) -> set[str]:
    """The third-party modules that a module imports at run time, directly or through our modules."""
    if path in seen:
        return set()
    seen.add(path)
    found: set[str] = set()
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            own = ROOT / f"{name.replace('.', '/')}.py"
            if own.is_file():
                found |= imports(own, seen)
            elif (top := name.split(".")[0]) not in sys.stdlib_module_names and top != "functions":
                found.add(top)
    return found


def runtime_nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node outside of `if TYPE_CHECKING`."""
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            nodes += [child, *runtime_nodes(child)]
    return nodes


@pytest.mark.parametrize("function", build.FUNCTIONS)
def test_a_function_has_exactly_the_layers_that_it_imports(function: str) -> None:
    found = imports(ROOT / "functions" / function / "index.py", set())
    assert found <= MODULES.keys(), f"say in MODULES which layer has {sorted(found - MODULES.keys())}"
    assert {MODULES[module] for module in found} == set(build.FUNCTIONS[function])


def test_the_models_of_every_client_are_kept() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    clients = set(re.findall(r'aws\.client\(\s*"([\w-]+)"', code))
    assert clients, "no function makes a client any more?"
    assert clients <= set(botocore_data.SERVICES)


def test_two_processes_can_build_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process uses the result of the first, and doesn't move its folder there too."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    inside, most = [], []

    def slow(_: build.Runtime) -> list[Path]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return []

    monkeypatch.setattr(build, "_build", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build.build, [build.local_runtime()] * 4))
    assert most == [1, 1, 1, 1]


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """botocore's data as packed."""
    folder = tmp_path_factory.mktemp("botocore") / "data"
    of_botocore = Path(botocore.__file__).parent / "data"
    others = {entry.name for entry in of_botocore.iterdir() if entry.is_dir()} - {*botocore_data.SERVICES, "sqs"}
    cache = tmp_path_factory.mktemp("cache") / "data"
    shutil.copytree(of_botocore, cache, ignore=shutil.ignore_patterns(*others))
    shutil.copytree(cache, folder, copy_function=os.link)  # as uv installs
    before = _contents(cache)
    botocore_data.prune(folder)
    assert _contents(cache) == before, "what other environments have too"
    return folder


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_little_of_botocores_data_is_packed(pruned: Path) -> None:
    assert {entry.name for entry in pruned.iterdir() if entry.is_dir()} == set(botocore_data.SERVICES)
    files = [path for path in pruned.rglob("*") if path.is_file()]
    assert not [path for path in files if re.search('"documentation":"[^"]', path.read_text("utf-8"))]
    assert sum(path.stat().st_size for path in files) < 1_000_000


CALLS = {
    "lambda": "list_functions",
    "s3": "list_buckets",
    "sns": "list_topics",
    "stepfunctions": "list_state_machines",
    "sts": "get_caller_identity",
}
"""One request per packed service."""

RESPONSES = {
    "s3": b"<x/>",
    "sns": b"<x><ListTopicsResult/><ResponseMetadata/></x>",
    "sts": b"<x><GetCallerIdentityResult/><ResponseMetadata/></x>",
}
"""Responses of the services that use XML."""

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.mark.parametrize("service", botocore_data.SERVICES)
def test_a_pruned_service_behaves_the_same(pruned: Path, service: str) -> None:
    whole, packed = Session(), Session()
    whole.register_component("data_loader", Loader())  # clients change the models of the shared loader
    packed.register_component("data_loader", Loader([str(pruned)], include_default_search_paths=False))
    for kind in ("service-2", "paginators-1", "endpoint-rule-set-1"):
        check_same(*(one.get_component("data_loader").load_service_model(service, kind) for one in (whole, packed)))
    for region in ("eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1", "eu-central-9"):
        assert len({_asked(session, service, region) for session in (whole, packed)}) == 1


def check_same(whole: Any, packed: Any) -> None:
    """Assert that only the documentation differs."""
    if isinstance(whole, dict):
        assert whole.keys() == packed.keys()
        for name in whole:
            if name != "documentation" or not isinstance(whole[name], str):
                check_same(whole[name], packed[name])
    elif isinstance(whole, list):
        for one, other in zip(whole, packed, strict=True):
            check_same(one, other)
    else:
        assert whole == packed


def _asked(session: Session, service: str, region: str) -> str:
    """The address that a request is sent to."""
    client, sent = session.create_client(service, region, **KEYS), []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(request.url, 200, {}, MockRawResponse(RESPONSES.get(service, b"{}")))

    client.meta.events.register("before-send", answer)
    getattr(client, CALLS[service])()
    return " ".join(sent)
