#!/usr/bin/env python3
"""Serves the site: one HTTPS server for each configuration in conf/. Ctrl-C ends all of them."""
import base64
import functools
import hmac
import http.server
import pathlib
import ssl
import threading

HERE = pathlib.Path(__file__).resolve().parent


class Handler(http.server.SimpleHTTPRequestHandler):
    users = frozenset()

    def do_GET(self):
        if self.path.startswith("/admin") and not self.is_known():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="admin"')
            self.end_headers()
        elif self.path.startswith("/admin"):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"Welcome, admin.\n")
        else:
            super().do_GET()

    def is_known(self):
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(given)
        except ValueError:
            return False
        return scheme == "Basic" and any(hmac.compare_digest(given, user.encode()) for user in self.users)


def start(path):
    # Paths in the configuration are those of the stack's folder, in which deployed/ is.
    conf = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    base = HERE.parent
    handler = type("Handler", (Handler,), {"users": frozenset((base / conf["users"]).read_text().split())})
    handler = functools.partial(handler, directory=base / conf["root"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(conf["port"])), handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(base / conf["certificate"], base / conf["key"])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"https://localhost:{conf['port']}", flush=True)


for path in sorted((HERE / "conf").glob("replica-*.conf")):
    start(path)
try:
    threading.Event().wait()
except KeyboardInterrupt:
    pass
