"""A running `edgecall serve` for the scripts beside this file: started on a free port, asked over HTTP, ended."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = os.path.basename(sys.argv[0])


def fail(message):
    print(f"{NAME}: {message}", file=sys.stderr)
    sys.exit(69)


def need(package, *tools):
    """The path of the first of `tools` that is here; their Debian package is installed if none is and this may install it."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = lambda: next(filter(None, (shutil.which(tool, path=places) for tool in tools)), None)
    if not found() and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-qq", *command], stdout=sys.stderr, env=environment, check=False)
    return found() or fail(f"there is no {tools[0]} in PATH: apt-get install {package}")


def check_program(path):
    """The absolute path of the program, if it is one."""
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        fail(f"{path} is no program; build it with cargo build --release")
    return os.path.abspath(path)


def pocket(program, folder, kind="q8_0"):
    """The pocket model as a GGUF file in `folder`."""
    path = os.path.join(folder, f"pocket-{kind}.gguf")
    command = [program, "convert", os.path.join(ROOT, "models/pocket"), "--type", kind, "-o", path]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        fail("the pocket model could not be converted: " + done.stderr.decode(errors="replace").strip())
    return path


def restaurants(text="Thai food in San Jose"):
    """A request with the tools that the pocket model was trained for."""
    folder = os.path.join(ROOT, "examples/restaurants")
    with open(os.path.join(folder, "tools.json"), encoding="utf-8") as file:
        tools = json.load(file)
    return {"messages": [{"role": "user", "content": text}], "tools": tools, "tool_choice": "required"}


class Server:
    """`edgecall serve` of `model`, from its start until the block ends."""

    def __init__(self, program, model, *arguments, environment=None, port=0):
        self.log = tempfile.TemporaryFile()
        command = [program, "serve", "-m", model, "--listen", f"127.0.0.1:{port}", "--no-cache", *arguments]
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log, env=environment)
        self.port = 0

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def __enter__(self):
        while not self.port:
            if self.process.poll() is not None:
                fail("the server ended:\n" + self.said()[-1500:])
            found = re.search(r"^serving .* on http://127\.0\.0\.1:(\d+)", self.said(), re.M)
            self.port = int(found[1]) if found else 0
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def post(self, path, body, headers=None, timeout=300):
        """Status, header and text of the answer to `body`, which is sent as it stands if it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode("utf-8", errors="replace")
        finally:
            connection.close()
