"""Output that ends no work: every letter is printed somehow, and a reader may go."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from joyvasa.io.console import prepare_process
prepare_process()
for line in range(20_000):
    print("голос \\udcc4", flush=line == 0)
print("to the error stream", file=sys.stderr)
open(sys.argv[1], "w", encoding="utf-8").write("done")
"""


def run(tmp_path, words, **environment):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "done")]
    return subprocess.Popen(words + command, env=os.environ | environment, stdout=-1, stderr=-1, cwd=os.getcwd())


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "gbk"])
def test_letters_that_an_encoding_lacks_are_spelt_out(tmp_path, encoding):
    process = run(tmp_path, [], PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    assert process.returncode == 0 and (tmp_path / "done").exists(), err
    first = out.decode(encoding).splitlines()[0]
    assert first.encode("ascii", "backslashreplace") in (
        b"\\u0433\\u043e\\u043b\\u043e\\u0441 \\udcc4",
        "голос \\udcc4".encode("ascii", "backslashreplace"),
    )


def test_a_reader_that_goes_does_not_end_the_work(tmp_path):
    process = run(tmp_path, [])
    assert process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait() == 0 and (tmp_path / "done").exists()
    assert "nobody reads" in said and "to the error stream" in said


def test_closed_outputs_do_not_end_the_work_nor_get_into_a_file(tmp_path):
    process = run(tmp_path, ["/bin/sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh"])
    process.communicate()
    assert process.returncode == 0 and (tmp_path / "done").read_text() == "done"


def test_a_user_without_a_home_gets_one_for_caches(tmp_path):
    program = (
        "import os, getpass\nos.path.expanduser = lambda path: path\n"
        "getpass.getuser = lambda: {}['name']\n"
        "from joyvasa.io.console import settle_home\nsettle_home()\nprint(os.environ['HOME'])"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    home = done.stdout.strip()
    assert os.path.dirname(home) == str(tmp_path) and os.stat(home).st_mode & 0o777 == 0o700
    assert home in done.stderr
