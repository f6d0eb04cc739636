#!/usr/bin/env python3
"""moto behind one lock, with a log of calls and faults on demand.

moto answers each request on a thread of its own although its state is not safe to share between threads: under load
it loses writes and answers 500. This wrapper lets one request at a time through, which makes it consistent, and adds
what a test of a deployment tool needs beside it. Run it with the interpreter of an environment that holds
`moto[server]`; it binds 127.0.0.1 only, and prints `port N` on stdout once it listens.

Control paths (no AWS API has a path that starts with `/_stackkit/`, for a bucket name cannot begin with `_`):

    GET    /_stackkit/calls    JSON list of {"call", "fault", "status"}, oldest first; status is null while a call runs
    DELETE /_stackkit/calls    forget the log
    GET    /_stackkit/faults   JSON list of the faults with what is left of `skip` and `times`
    PUT    /_stackkit/faults   replace the faults by the JSON list in the body
    DELETE /_stackkit/faults   remove all faults
    PUT    /_stackkit/iam      `true` in the body: from now on IAM judges every request, as `moto_iam.py` does; `false`: no more

A fault is {"call": REGEX, "mode": MODE, "skip": N, "times": N, "seconds": S}. REGEX has to match the whole name of a
call, such as `ec2:CreateVpc`. The first `skip` matching calls pass untouched (default 0), the next `times` are hit
(default 1). The first fault in the list that hits wins. Modes:

    throttle     the service's own "slow down" answer; nothing is done
    500, 503     the service's own internal failure or unavailability; nothing is done
    drop_before  the connection is closed before the call is done
    drop_after   the call is done, then the connection is closed without an answer
    delay        the call is held for `seconds` (default 1), then done; other calls go on meanwhile
"""

import argparse
import collections
import functools
import io
import json
import re
import socket
import sys
import threading
import time
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from moto.core.serialize import S3Serializer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

import moto_iam

MODES = ("throttle", "500", "503", "drop_before", "drop_after", "delay")

# Services whose signing name is not the name of their description in botocore.
SERVICE_OF_SIGNING_NAME = {"elasticfilesystem": "efs", "es": "opensearch", "airflow": "mwaa", "ses": "sesv2"}

LOG_LIMIT = 100_000

# The root elements of S3's answers. moto names them after the operation, which boto passes over and stricter clients,
# such as the AWS SDK for Rust, refuse.
S3_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectTagging": "Tagging",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}


class Names:
    """Turns requests into names such as `s3:CreateBucket`, from the service descriptions that botocore ships."""

    def __init__(self):
        self.loader = Loader()

    def name(self, environ, body):
        """Name of the call, or `service:METHOD /path` where no description matches."""
        credential = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        service = credential.group(1) if credential else "unsigned"
        target = environ.get("HTTP_X_AMZ_TARGET")
        if target:
            return f"{service}:{target.rpartition('.')[2]}"
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            action = parse_qs(body.decode("utf-8", "replace")).get("Action")
            if action:
                return f"{service}:{action[0]}"
        path = environ.get("PATH_INFO", "/")
        cbor = re.fullmatch(r"/service/[^/]+/operation/(\w+)", path)
        if cbor:
            return f"{service}:{cbor.group(1)}"
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        operation = self.rest_operation(service, environ, path, query)
        return f"{service}:{operation or environ['REQUEST_METHOD'] + ' ' + path}"

    def rest_operation(self, service, environ, path, query):
        """The most specific operation whose method, path, query and required headers the request has."""
        if len(path) > 1:
            path = path.rstrip("/") or "/"
        best = None
        for name, method, pattern, literals, keys, headers in self.operations(service):
            if method != environ["REQUEST_METHOD"] or not pattern.fullmatch(path):
                continue
            if any(query.get(key, [None])[0] != value for key, value in literals):
                continue
            if any(key not in query for key in keys) or any(header not in environ for header in headers):
                continue
            score = (len(literals) + len(keys) + len(headers), -pattern.pattern.count("("))
            if best is None or score > best[0]:
                best = (score, name)
        return best and best[1]

    @functools.lru_cache(maxsize=None)
    def operations(self, service):
        """Every operation of a REST service as (name, method, path, literal query, required query, headers)."""
        try:
            model = self.loader.load_service_model(SERVICE_OF_SIGNING_NAME.get(service, service), "service-2")
        except UnknownServiceError:
            return []
        if not model["metadata"].get("protocol", "").startswith("rest"):
            return []
        found = []
        for name, operation in model["operations"].items():
            path, _, query = operation["http"]["requestUri"].partition("?")
            if len(path) > 1:
                path = path.rstrip("/")
            pattern = "".join(
                "(.+)" if part.endswith("+}") else "([^/]+)" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{[^}]+\})", path)
            )
            literals = [(key, values[0]) for key, values in parse_qs(query, keep_blank_values=True).items()]
            shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
            required = [shape["members"][member] for member in shape.get("required", [])]
            keys = [m["locationName"] for m in required if m.get("location") == "querystring"]
            headers = [
                "HTTP_" + m["locationName"].upper().replace("-", "_") for m in required if m.get("location") == "header"
            ]
            found.append((name, operation["http"]["method"], re.compile(pattern), literals, keys, headers))
        return found


def error_answer(call, environ, status, code, message):
    """An error in the shape that the service of this call really sends: (status line, headers, body)."""
    service = call.partition(":")[0]
    extra = []
    text = escape(message)
    if service == "ec2":
        kind = "text/xml"
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
            "<RequestID>injected</RequestID></Response>"
        )
    elif service == "s3":
        kind = "application/xml"
        body = f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>injected</RequestId></Error>"
    elif environ.get("HTTP_X_AMZ_TARGET"):
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
    elif is_rest_json(service):
        kind = "application/json"
        extra = [("x-amzn-ErrorType", code)]
        body = json.dumps({"message": message})
    else:
        kind = "text/xml"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
            "<RequestId>injected</RequestId></ErrorResponse>"
        )
    data = body.encode()
    return status, [("Content-Type", kind), ("Content-Length", str(len(data))), *extra], data


@functools.lru_cache(maxsize=None)
def is_rest_json(service):
    """Whether the service speaks JSON over REST paths."""
    try:
        model = Loader().load_service_model(SERVICE_OF_SIGNING_NAME.get(service, service), "service-2")
    except UnknownServiceError:
        return False
    return model["metadata"].get("protocol") == "rest-json"


def injected_answer(call, environ, mode):
    """What the service of this call sends when it throttles (`throttle`), fails (`500`) or is away (`503`)."""
    service = call.partition(":")[0]
    json_rpc = bool(environ.get("HTTP_X_AMZ_TARGET"))
    if mode == "throttle":
        if service == "ec2":
            status, code = "503 Service Unavailable", "RequestLimitExceeded"
        elif service == "s3":
            status, code = "503 Slow Down", "SlowDown"
        elif json_rpc:
            status, code = "400 Bad Request", "ThrottlingException"
        elif is_rest_json(service):
            status, code = "429 Too Many Requests", "TooManyRequestsException"
        else:
            status, code = "400 Bad Request", "Throttling"
        return error_answer(call, environ, status, code, "Rate exceeded")
    if mode == "500":
        code = {"ec2": "InternalError", "s3": "InternalError"}.get(service, "InternalFailure")
        return error_answer(call, environ, "500 Internal Server Error", code, "An internal error has occurred")
    code = {"ec2": "Unavailable"}.get(service, "ServiceUnavailable")
    return error_answer(call, environ, "503 Service Unavailable", code, "Service is unable to handle request")


def refusal_answer(call, environ, refusal):
    """A refusal by IAM as the service of this call words it."""
    service = call.partition(":")[0]
    json_rpc = bool(environ.get("HTTP_X_AMZ_TARGET"))
    if refusal.objects:
        # Of several objects, those that are refused; none of the others is deleted here.
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code><Message>{escape(refusal.message)}</Message></Error>"
            for key in refusal.objects
        )
        data = f"<DeleteResult>{errors}</DeleteResult>".encode()
        return "200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(data)))], data
    status, code = "403 Forbidden", "AccessDenied"
    if refusal.unknown_sender:
        if service == "ec2":
            status, code = "401 Unauthorized", "AuthFailure"
        elif service == "s3":
            code = "InvalidAccessKeyId"
        elif json_rpc:
            status, code = "400 Bad Request", "UnrecognizedClientException"
        else:
            code = "InvalidClientTokenId"
    elif service == "ec2":
        code = "UnauthorizedOperation"
    elif json_rpc:
        status, code = "400 Bad Request", "AccessDeniedException"
    elif is_rest_json(service):
        code = "AccessDeniedException"
    return error_answer(call, environ, status, code, refusal.message)


class Serialised:
    """The WSGI application: control paths, the log, the faults, and moto behind its lock."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.moto_lock = threading.Lock()
        self.names = Names()
        self.book = threading.Lock()  # guards `faults` and `calls`
        self.faults = []
        self.calls = collections.deque(maxlen=LOG_LIMIT)
        self.judged = False

    def __call__(self, environ, start_response):
        body = read_body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        # The body is whole by now: a chunked request must not be taken apart a second time.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_stackkit/"):
            return respond(start_response, self.control(environ["REQUEST_METHOD"], path, body))
        if path.startswith("/moto-api"):
            return respond(start_response, self.ask_moto(environ))
        call = self.names.name(environ, body)
        fault, entry = self.note(call)
        mode = fault and fault["mode"]
        if mode == "drop_before":
            drop_connection(environ, entry)
        if mode == "delay":
            time.sleep(fault["seconds"])
        if mode in ("throttle", "500", "503"):
            answer = injected_answer(call, environ, mode)
        else:
            answer = self.refusal(call, environ, body) or self.ask_moto(environ)
        if mode == "drop_after":
            drop_connection(environ, entry)
        entry["status"] = int(answer[0].split()[0])
        return respond(start_response, answer)

    def refusal(self, call, environ, body):
        """IAM's refusal of a request; nothing where it is allowed, or nobody judges."""
        if not self.judged:
            return None
        try:
            with self.moto_lock:
                refusal = moto_iam.judge(call, environ, body)
        except moto_iam.Unjudged as error:
            return error_answer(call, environ, "501 Not Implemented", "NotImplemented", f"IAM here cannot judge {error}")
        return refusal and refusal_answer(call, environ, refusal)

    def note(self, call):
        """Logs a call and takes the fault that hits it, if one does."""
        with self.book:
            hit = None
            for fault in self.faults:
                if fault["times"] == 0 or not re.fullmatch(fault["call"], call):
                    continue
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] -= 1
                hit = dict(fault)
                break
            entry = {"call": call, "fault": hit and hit["mode"], "status": None}
            self.calls.append(entry)
            return hit, entry

    def ask_moto(self, environ):
        """moto's whole answer as (status line, headers, body); one request at a time."""
        head = []

        def start_response(status, headers, _exc_info=None):
            head[:] = [status, headers]
            return lambda _data: None

        with self.moto_lock:
            chunks = self.moto(environ, start_response)
            try:
                body = b"".join(chunks)
            finally:
                close = getattr(chunks, "close", None)
                if close:
                    close()
        return head[0], head[1], body

    def control(self, method, path, body):
        """Answers a control path."""
        try:
            with self.book:
                if path == "/_stackkit/calls" and method in ("GET", "DELETE"):
                    if method == "DELETE":
                        self.calls.clear()
                    return json_answer(200, list(self.calls))
                if path == "/_stackkit/faults" and method in ("GET", "PUT", "DELETE"):
                    if method != "GET":
                        self.faults = [checked_fault(fault) for fault in json.loads(body)] if method == "PUT" else []
                    return json_answer(200, self.faults)
                if path == "/_stackkit/iam" and method == "PUT":
                    self.judged = bool(json.loads(body))
                    return json_answer(200, self.judged)
        except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
            return json_answer(400, {"error": f"{type(error).__name__}: {error}"})
        return json_answer(404, {"error": f"no control path {method} {path}"})


def checked_fault(fault):
    """A fault with its defaults filled in; raises ValueError where it makes no sense."""
    if fault["mode"] not in MODES:
        raise ValueError(f"mode {fault['mode']!r} is none of {', '.join(MODES)}")
    re.compile(fault["call"])
    return {
        "call": fault["call"],
        "mode": fault["mode"],
        "skip": int(fault.get("skip", 0)),
        "times": int(fault.get("times", 1)),
        "seconds": float(fault.get("seconds", 1)),
    }


def read_body(environ):
    """The whole body of a request, be it counted or chunked."""
    if environ.get("wsgi.input_terminated"):
        return environ["wsgi.input"].read()
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def drop_connection(environ, entry):
    """Closes the client's connection without an answer; werkzeug takes the exception for a client that went away."""
    entry["status"] = 0
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("dropped by an injected fault")


def json_answer(status, value):
    """A JSON answer of the control paths."""
    data = json.dumps(value).encode()
    line = {200: "200 OK", 400: "400 Bad Request", 404: "404 Not Found"}[status]
    return line, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))], data


def respond(start_response, answer):
    """Hands an answer to the WSGI server."""
    status, headers, body = answer
    start_response(status, headers)
    return [body]


class QuietHandler(WSGIRequestHandler):
    """Does not write a line per request: the log of calls has them."""

    def log_request(self, code="-", size="-"):
        pass


def name_roots_as_s3_does():
    """Makes moto's S3 answers begin with the elements that S3's begin with."""
    original = S3Serializer._serialized_result_to_response

    def serialise(self, resp, result, shape, serialized_result):
        root = S3_ROOTS.get(self.operation_model.name)
        if root and shape is not None:
            shape.serialization.setdefault("resultWrapper", root)
        return original(self, resp, result, shape, serialized_result)

    S3Serializer._serialized_result_to_response = serialise


def main():
    """Parses the command line and serves until killed."""
    parser = argparse.ArgumentParser(description="moto behind one lock, with a log of calls and faults on demand")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    port = parser.parse_args().port
    name_roots_as_s3_does()
    server = make_server("127.0.0.1", port, Serialised(), threaded=True, request_handler=QuietHandler)
    print(f"port {server.server_port}", flush=True)
    # Whoever started this may stop reading stdout now, and moto prints to it here and there.
    sys.stdout = sys.stderr
    server.serve_forever()


if __name__ == "__main__":
    main()
