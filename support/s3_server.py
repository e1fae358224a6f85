"""An S3 server on this machine that keeps what it is given, also when it is killed.

    python support/s3_server.py FOLDER PORT

It is moto's server, which speaks S3; what moto holds in memory is put into FOLDER before an answer
goes out, and read from there at the start. :class:`Store` is such a server as a process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Store:
    """An S3 server in a process of its own, with one bucket; it can be killed and started again.

    ``environment`` is what programs that use it have to find in theirs.
    """

    address = "s3://bucket"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }  # fmt: skip
        (folder / "bucket").mkdir(parents=True)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, __file__, self.folder, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout
        if b"port" not in self.process.stdout.readline():
            raise RuntimeError(f"no S3 server on port {self.port}; is moto[server] installed?")

    def kill(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def main(folder: Path, port: int) -> None:
    from moto.s3.models import s3_backends
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    backend = s3_backends["123456789012"]["aws"]

    def held() -> dict[str, dict[str, object]]:
        return {name: dict(bucket.keys.items()) for name, bucket in backend.buckets.items()}

    for bucket in sorted(folder.iterdir()):
        backend.create_bucket(bucket.name, "us-east-1")
        for file in bucket.glob("*.object"):
            backend.put_object(bucket.name, unquote(file.stem), file.read_bytes())
    known: dict[tuple[str, str], str] = {}
    application = DomainDispatcherApplication(create_backend_app)

    def keeping(environ, start_response):
        answer = application(environ, start_response)
        if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
            keep()
        return answer

    def keep() -> None:
        for bucket, keys in held().items():
            place = folder / bucket
            place.mkdir(exist_ok=True)
            for name, key in keys.items():
                if known.get((bucket, name)) != key.etag:
                    part = place / "part"
                    part.write_bytes(key.value)
                    os.replace(part, place / f"{quote(name, safe='')}.object")
                    known[bucket, name] = key.etag
            for b, name in [k for k in known if k[0] == bucket and k[1] not in keys]:
                (place / f"{quote(name, safe='')}.object").unlink()
                del known[b, name]

    keep()
    print(json.dumps({"port": port}), flush=True)
    run_simple("127.0.0.1", port, keeping)  # one thread: what is kept is whole


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
