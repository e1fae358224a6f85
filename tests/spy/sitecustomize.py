"""Put on PYTHONPATH, this has every Python process write down whom it contacts and what it starts.

A line of JSON per event goes to the file that FASTSAM_SPY names. Python raises these events in its
own C code: nothing that Python code does by sockets or processes gets past them.
"""

import json
import os
import sys

_EVENTS = {
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo",
    "socket.gethostbyname", "socket.gethostbyaddr", "subprocess.Popen", "os.system", "os.exec",
    "os.posix_spawn",
}  # fmt: skip
_FILE = os.environ.get("FASTSAM_SPY")


def _note(event, arguments):
    if event in _EVENTS:
        if event.startswith("socket."):
            said = [str(a) for a in arguments if type(a).__name__ != "socket"]
        elif event == "subprocess.Popen":
            said = [str(a) for a in arguments[1]]
        else:
            said = [str(arguments[0])]
        line = json.dumps({"process": os.getpid(), "event": event, "said": said})
        descriptor = os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, line.encode() + b"\n")
        os.close(descriptor)


if _FILE:
    sys.addaudithook(_note)
