"""Numbers of the environment, as the benchmark scripts take them."""
import os, sys


def counted(name, default):
    """A number from 1 on of the environment; ends the script with 2 if it is none."""
    value = os.environ.get(name) or default
    if not value.isdecimal() or not int(value):
        script = os.path.basename(sys.argv[0])
        print(f"{script}: {name} is {value!r}, and has to be a number from 1 on", file=sys.stderr)
        sys.exit(2)
    return int(value)
