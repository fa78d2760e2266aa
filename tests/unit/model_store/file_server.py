# SPDX-License-Identifier: GPL-2.0-or-later
"""A server of one file that misbehaves on demand, in a thread."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class FileServer:
    """What is served, how, and what was asked for.

    ``break_after`` ends the next answer after so many bytes, once; ``statuses`` are given before anything else.
    """

    def __init__(self, content):
        self.content = content
        self.etag = '"one"'
        self.ranges = True
        self.checks_validator = True
        self.break_after = None
        self.statuses = []
        self.requests = []
        self.bytes_sent = 0
        self.address = ""

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.requests.append(asked)
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if self.checks_validator and handler.headers.get("If-Range") != self.etag:
            begin = 0
        if begin >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(206 if begin else 200)
        self.bytes_sent += len(self.content[begin : self.break_after])
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(self.content) - begin))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        end, self.break_after = self.break_after, None
        handler.wfile.write(self.content[begin:end])
        if end is not None:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.close()


@contextmanager
def serving(content):
    """A running ``FileServer``; ``address`` is that of its file."""
    served = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """A broken connection is what the tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.address = f"http://127.0.0.1:{server.server_port}/weights.pth"
        yield served
        server.shutdown()
        thread.join()
