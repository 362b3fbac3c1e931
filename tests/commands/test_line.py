"""The command line as a whole: help, exit codes, errors in one sentence."""

import os
import subprocess
import sys
import tomllib
import warnings

import pytest
from helpers import ROOT

from nuclr_lite.commands import NAMES, info, line
from nuclr_lite.commands.line import main


def code_of(*arguments: str) -> int:
    try:
        main(list(arguments))
    except SystemExit as left:
        return left.code
    return 0


def test_every_command_shows_an_example(capsys):
    for name in NAMES:
        assert code_of(name, "--help") == 0
        said = capsys.readouterr().out
        assert f"    nuclr-lite {name}" in said and "exit code" in said and "--traceback" in said
    assert code_of("--help") == 0
    said = capsys.readouterr().out
    assert all(f"    {name}" in said for name in NAMES)


def test_help_imports_nothing_heavy():
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from nuclr_lite.commands.line import main\n"
            "try: main(['predict', '--help'])\n"
            "except SystemExit: pass\n"
            "sys.exit(', '.join({'torch', 'pandas', 'sklearn'} & set(sys.modules)) or 0)",
        ],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_console_script_is_the_module():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"nuclr-lite": "nuclr_lite.__main__:main"}
    ran = subprocess.run(
        [sys.executable, "-m", "nuclr_lite", "--version"], capture_output=True, text=True, cwd=ROOT
    )
    assert ran.stdout.startswith("nuclr_lite ") and ran.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "absent", "--encoder", "simulated", "--out", "x.csv"], "absent: nothing there"),
        (["embed", ".", "--encoder", "simulated", "--out", "x.csv"], "holds no saved recording"),
        (["embed", ".", "--encoder", "nobody", "--out", "x.csv"], "there is no encoder 'nobody'"),
        (["embed", ".", "--encoder", "simulated", "--out", "x.doc"], "must end in one of .csv"),
        (["check", "absent"], "absent: nothing there"),
        (["embed", ".", "--encoder", "simulated", "--out", "/dev/null/x.csv"], "can't be written"),
        (["run", "absent.json"], "absent.json can't be read (No such file or directory); give"),
        (["run", "."], "can't be read ("),
        (["experiments", "."], "no .json file there"),
        (["predict", ".", "--labels-from", "simulated"], "holds no saved recording"),
        (["pretrain", ".", "--out", "run", "--set", "dimm", "3"], "no preset has ['dimm']"),
        (["pretrain", ".", "--out", "run", "--set", "dim", '"x"'], "a value is of the wrong kind"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert code_of(*arguments) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out
    assert said.err.startswith(f"nuclr-lite {arguments[0]}: ") and "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["pretrain", ".", "--out", "run", "--set", "steps", "abc"], "'abc' is no JSON; write"),
        (["pretrain", ".", "--out", "run", "--set", "optimizer", "muon"], "'\"muon\"'"),
        (["check", ".", "--inductive"], "give --encoder"),
        (["download", "allen"], "allen takes ids, of what is wanted: --list shows them."),
        (["download", "rats", "T176"], "rats takes no ids."),
        (["download", "mice"], "invalid choice: 'mice'"),
    ],
)
def test_wrong_usage(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert code_of(*arguments) == 2
    said = capsys.readouterr().err
    assert words in said and "usage: nuclr-lite" in said and "Traceback" not in said


def test_a_traceback_for_those_who_ask(tmp_path, monkeypatch, capsys):
    assert code_of("check", str(tmp_path), "--traceback") == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and said.splitlines()[-1].startswith("nuclr-lite check: ")
    monkeypatch.setenv(line.SHOWS_TRACEBACK, "1")
    assert code_of("check", str(tmp_path)) == 2 and "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (ValueError("two\n  lines"), 2, "nuclr-lite info: two lines\n"),
        (FloatingPointError("the loss"), 2, "nuclr-lite info: the loss\n"),
        (ImportError("pip install it"), 2, "nuclr-lite info: pip install it\n"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyError("of ours"), 3, "this is a fault of nuclr_lite; please report it"),
        (RuntimeError("of torch"), 3, "Traceback"),
        (MemoryError(), 2, "out of memory (MemoryError); let fewer units through at once"),
        (KeyboardInterrupt(), 130, "nuclr-lite info: stopped."),
        (ValueError("x" * 5000), 2, "x ...\n"),
    ],
)
def test_what_is_raised_becomes_a_code(raised, code, words, monkeypatch, capsys):
    def run(options):
        raise raised

    monkeypatch.setattr(info, "run", run)
    assert code_of("info") == code
    assert words in capsys.readouterr().err


def test_warnings_are_notices_of_one_line(monkeypatch, capsys):
    def run(options):
        warnings.warn("look at\nthis", stacklevel=1)
        return 1

    monkeypatch.setattr(info, "run", run)
    before = warnings.showwarning
    assert code_of("info") == 1
    assert capsys.readouterr().err == "nuclr-lite info: notice: look at this\n"
    assert warnings.showwarning is before


@pytest.mark.skipif(os.name == "nt", reason="there is no head")
def test_whoever_reads_may_stop():
    ran = subprocess.run(
        f"{sys.executable} -m nuclr_lite info --encoders | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.stdout.count("\n") == 1 and "Traceback" not in ran.stderr
    assert "Broken" not in ran.stderr
