"""The documents in tests/data/corpus, by name."""

import base64
import json
from pathlib import Path

from simplejson.tests import test_fail, test_pass1, test_pass2, test_pass3  # awslambdaric depends on it

CORPUS = Path(__file__).parents[1] / "data" / "corpus"


def json_test_suite() -> dict[str, bytes]:
    """JSONTestSuite: parsers must accept `y_`, must reject `n_`, and may do either with `i_`."""
    documents = map(json.loads, (CORPUS / "json_test_suite.jsonl").read_text("utf-8").splitlines())
    return {
        document["name"]: (
            document["text"].encode() * document.get("times", 1)
            if "text" in document
            else base64.b64decode(document["base64"])
        )
        for document in documents
    }


def json_checker() -> dict[str, bytes]:
    """json.org's JSON_checker, as in simplejson. RFC 8259 allows two of the documents that it calls wrong."""
    wrong = {f"n_checker_fail{number}": text for number, text in enumerate(test_fail.JSONDOCS, 1)}
    right = {f"y_checker_fail{number}": wrong.pop(f"n_checker_fail{number}") for number in test_fail.SKIPS}
    passing = {f"y_checker_pass{n}": part.JSON for n, part in enumerate((test_pass1, test_pass2, test_pass3), 1)}
    return {name: text.encode() for name, text in {**right, **wrong, **passing}.items()}


def seeds() -> dict[str, bytes]:
    """The fuzzer's seeds."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / "documents").iterdir())}
