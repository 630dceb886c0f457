import ast
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.visible import say, visible, visible_lines

PIPELINE = Path(__file__).parents[1] / "pipeline"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("grüße 犬 😀.png", "grüße 犬 😀.png"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("para\u2029graph", r"para\u2029graph"),
        ("\udce9", r"\udce9"),
        # Joins of Persian words and of emoji are spelling, not control.
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),
    ],
)
def test_control_characters_become_escapes(name, shown):
    assert visible(name) == shown
    assert visible(shown) == shown


def test_messages_keep_their_lines():
    assert visible_lines("one\n  two\x1b[2J\r\n") == "one\n  two\\x1b[2J\\r\n"
    error = RestemError("bad\x1b]0;title\x07", where="a\u202eb", remedy="Remove:\n  it")
    assert str(error) == "a\\u202eb: bad\\x1b]0;title\\x07. Remove:\n  it."


def test_what_is_said_does_not_command_the_terminal(capsys):
    say("one\x1b]0;title\x07\ntwo\u202e")
    assert capsys.readouterr().out == "one\\x1b]0;title\\x07\ntwo\\u202e\n"


def test_commands_print_only_json_themselves():
    """Everything else goes through `say`, or through console.escape: names from outside are in most of it."""
    found = []
    for path in (*PIPELINE.glob("commands/*.py"), *PIPELINE.glob("kubeflow/client/*.py"), *PIPELINE.glob("local/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                if not (node.args and ast.unparse(node.args[0]).startswith("json.dumps(")):
                    found.append(f"{path.name}:{node.lineno}")
            elif isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
