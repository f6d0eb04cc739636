"""IAM's judgement of requests: who sends one, what it asks for, and whether their policies allow it.

moto judges actions, knows the resources of S3 alone, and looks at no condition. This judges policies of identities as
IAM's user guide describes it ("Policy evaluation logic", "IAM JSON policy elements"): an explicit denial wins, then an
allowance counts, and what nobody allows is refused. Actions, resources and conditions are named for S3 and KMS as the
service authorization reference has them; of other services no resource is known, so that a statement about any of
theirs has to say `*`. Policies of buckets, keys, boundaries and organisations are not looked at. What a policy says and
this does not know is never passed over: it is `Unjudged`.
"""

import json
import re
from urllib.parse import parse_qs
from xml.etree import ElementTree

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
from moto.kms.models import kms_backends
from moto.utilities.utils import get_partition

# The permissions of operations of S3 that are not named as the operation is.
S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
}

# Permissions of objects that are others for a version that is named.
VERSIONED = {"GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion"}

# Allowed to everybody, even where a policy denies it.
ALWAYS = {"sts:GetCallerIdentity"}


class Unjudged(Exception):
    """Something in a policy or request that is not known here."""


class Refusal:
    """Why a request is refused: what is wrong, in words, and which of its objects it is about where those are several."""

    def __init__(self, message, unknown_sender=False, objects=()):
        self.message = message
        self.unknown_sender = unknown_sender
        self.objects = list(objects)


def judge(call, environ, body):
    """The `Refusal` of a request, or nothing where its sender may do it."""
    if call in ALWAYS:
        return None
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    credential = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", authorization)
    if not credential:
        return Refusal("The request is not signed", unknown_sender=True)
    key, region = credential.groups()
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    headers = {"X-Amz-Security-Token": token} if token else {}
    try:
        sender = create_access_key(DEFAULT_ACCOUNT_ID, get_partition(region), key, headers)
    except CreateAccessKeyFailure:
        return Refusal(f"The access key {key} is not known", unknown_sender=True)
    policies = [IAMPolicy(policy)._policy_json for policy in sender.collect_policies()]
    refused = []
    for action, resource, context, name in asked(call, environ, body, region):
        why = refusal(policies, action, resource, context)
        if why:
            message = f"User: {sender.arn} is not authorized to perform: {action} on resource: {resource} {why}"
            refused.append((name, message))
    if not refused:
        return None
    return Refusal(refused[0][1], objects=[name for name, _ in refused if name])


def asked(call, environ, body, region):
    """What a request asks for: (action, resource, condition context, key of the object where there are several)."""
    service, _, operation = call.partition(":")
    if service == "s3":
        yield from asked_of_s3(operation, environ, body)
    elif service == "kms":
        yield asked_of_kms(operation, body, region)
    else:
        yield call, "*", {}, None


def asked_of_s3(operation, environ, body):
    path = environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace")
    bucket, _, key = path.lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket or '*'}"
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if operation == "DeleteObjects":
        # IAM judges each object, and S3 answers for each.
        for found in ElementTree.fromstring(body).iter():
            if found.tag.rpartition("}")[2] != "Object":
                continue
            parts = {part.tag.rpartition("}")[2]: part.text or "" for part in found}
            action = "DeleteObjectVersion" if parts.get("VersionId") else "DeleteObject"
            yield f"s3:{action}", f"{arn}/{parts.get('Key', '')}", {}, parts.get("Key", "")
        return
    action = S3_ACTIONS.get(operation, operation)
    if "versionId" in query:
        action = VERSIONED.get(action, action)
    context = {}
    if action in ("ListBucket", "ListBucketVersions") and "prefix" in query:
        context["s3:prefix"] = query["prefix"][0]
    yield f"s3:{action}", f"{arn}/{key}" if key else arn, context, None


def asked_of_kms(operation, body, region):
    parameters = json.loads(body or b"{}")
    context = {f"kms:EncryptionContext:{key}": value for key, value in parameters.get("EncryptionContext", {}).items()}
    key = parameters.get("KeyId")
    resource = "*"
    if key:
        backend = kms_backends[DEFAULT_ACCOUNT_ID][region]
        try:
            # A policy names the key, whatever alias a request names it by.
            resource = backend.describe_key(key).arn
        except KeyError:
            resource = key if key.startswith("arn:") else f"arn:aws:kms:{region}:{DEFAULT_ACCOUNT_ID}:key/{key}"
    return f"kms:{operation}", resource, context, None


def refusal(policies, action, resource, context):
    """Why policies do not allow an action, in IAM's words; nothing where they do."""
    allowed = False
    for policy in policies:
        for statement in several(policy["Statement"]):
            if not applies(statement, action, resource, context):
                continue
            if statement["Effect"] == "Deny":
                return "with an explicit deny in an identity-based policy"
            allowed = True
    return None if allowed else f"because no identity-based policy allows the {action} action"


def applies(statement, action, resource, context):
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise Unjudged(f"a statement with {', '.join(sorted(unknown))}")
    return (
        any(like(pattern.lower(), action.lower()) for pattern in several(statement["Action"]))
        and any(like(pattern, resource) for pattern in several(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
    )


def holds(conditions, context):
    """Whether all conditions of a statement are met."""
    for operator, wanted in conditions.items():
        name, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
        if name not in ("StringEquals", "StringLike"):
            raise Unjudged(f"the condition operator {operator}")
        for key, values in wanted.items():
            if key not in context:
                if if_exists:
                    continue
                return False
            met = like if name == "StringLike" else str.__eq__
            if not any(met(value, context[key]) for value in several(values)):
                return False
    return True


def several(value):
    """What may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def like(pattern, text):
    """Whether a text is as a pattern says, in which `*` is any text and `?` any character."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.S) is not None
