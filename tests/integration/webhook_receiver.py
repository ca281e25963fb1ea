"""An HTTP server that takes messages as a test wants: well, badly, elsewhere, slowly, or never."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Mood = Literal["well", "fails", "moved", "trickles", "hangs"]


@dataclass(frozen=True)
class Posted:
    """One message that came in."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """What came in, and how the next messages are taken."""

    mood: Mood = "well"
    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    leaving: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve on a free port until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.posted.append(Posted(self.path, dict(self.headers), body))
            if receiver.mood == "hangs":
                receiver.leaving.wait(60)
                return
            self.send_response({"fails": 500, "moved": 307}.get(receiver.mood, 204))
            if receiver.mood == "moved":
                self.send_header("Location", receiver.url.replace("/hook", "/elsewhere"))
            if receiver.mood == "trickles":
                while not receiver.leaving.wait(0.05):
                    self.send_header("X-More", "and more")
                    self.flush_headers()
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.leaving.set()
        server.shutdown()
        server.server_close()
        thread.join()
