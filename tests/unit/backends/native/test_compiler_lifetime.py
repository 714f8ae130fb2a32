"""Libraries of machine code that the collector frees, in a process of its own: a crash there is a failure here."""

import subprocess
import sys

CYCLES = """
import gc
from deltarule.backends.native.llvm import compiler, machine

host = next(m for m in map(machine.host, machine.TARGETS) if machine.runs_here(m))
for _ in range(10):
    text = f'target triple = "{host.triple}"\\ndefine void @f() {{\\n ret void\\n}}\\n'
    library = compiler.compile_modules([text], host, cache="off")
    library.itself = library  # only the collector can free it, in any order of its parts
    del library
    gc.collect()
print("alive")
"""


def test_the_collector_frees_libraries_in_any_order():
    done = subprocess.run(
        [sys.executable, "-c", CYCLES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "alive\n"
