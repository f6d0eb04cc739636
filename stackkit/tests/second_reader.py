"""Opens a stack's state with nothing but SECURITY.md and Python's standard library.

Usage: second_reader.py TOML KEY_FILE FOLDER STACK [WORD...]

Prints the records as JSON, sealed values opened, and of each digest the words that it was made of. Exits with 1 where anything does not fit.

Usage: second_reader.py TOML KEY_FILE FOLDER STACK audit

Verifies the audit log in FOLDER/STACK.audit, and prints its lines as a JSON list.
"""

import base64
import hmac
import json
import re
import sys


def refuse(why):
    sys.exit(f"refused: {why}")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(data) != text:
        refuse("base64 in another spelling")
    return data


def lp(*parts):
    out = b""
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        out += len(data).to_bytes(4, "big") + data
    return out


def derive(key, *info):
    prk = hmac.digest(b"stackkit/1", key, "sha256")
    return hmac.digest(prk, lp(*info) + b"\x01", "sha256")


def mac(key, *parts):
    return hmac.digest(key, lp(*parts), "sha256")


def is_of(digest, word):
    kept = unb64(digest)
    if len(kept) != 64:
        refuse("no key and code")
    plain = json.dumps(word, ensure_ascii=False).encode()
    return hmac.digest(kept[:32], lp("stackkit/1 digest") + plain, "sha256") == kept[32:]


# XChaCha20-Poly1305: RFC 8439 and draft-irtf-cfrg-xchacha.

def rounds(state):
    x = list(state)

    def quarter(a, b, c, d):
        for one, two, three, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[one] = (x[one] + x[two]) & 0xFFFFFFFF
            x[three] ^= x[one]
            x[three] = ((x[three] << by) | (x[three] >> (32 - by))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
    return x


def words(data):
    return [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]


def unwords(numbers):
    return b"".join(number.to_bytes(4, "little") for number in numbers)


CONSTANTS = words(b"expand 32-byte k")


def stream(key, nonce, first, length):
    out = b""
    while len(out) < length:
        state = CONSTANTS + words(key) + [first] + words(nonce)
        out += unwords((a + b) & 0xFFFFFFFF for a, b in zip(state, rounds(state)))
        first += 1
    return out[:length]


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at:at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def unseal(key, aad, data):
    nonce, text, tag = data[:24], data[24:-16], data[-16:]
    block = rounds(CONSTANTS + words(key) + words(nonce[:16]))
    key, nonce = unwords(block[:4] + block[12:]), bytes(4) + nonce[16:]

    def padded(part):
        return part + bytes(-len(part) % 16)

    covered = padded(aad) + padded(text) + len(aad).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    if not hmac.compare_digest(poly1305(stream(key, nonce, 0, 32), covered), tag):
        refuse("a seal does not open")
    return bytes(a ^ b for a, b in zip(text, stream(key, nonce, 1, len(text))))


class Stack:
    def __init__(self, toml, key_file):
        def field(name, text):
            return re.search(rf'^{name} = "([^"]*)"', text, re.M)[1]

        seal = toml[toml.index("[seal]"):]
        self.lineage, self.key_id = field("lineage", seal), field("data_key", seal)
        wrapped = seal[seal.index("[[seal.key]]"):]
        line = [line for line in key_file.split("\n") if line.strip() and not line.startswith("#")]
        key = unb64(line[0].removeprefix("stackkit-key-1 "))
        if derive(key, "key file id")[:8].hex() != field("id", wrapped):
            refuse("another key file")
        aad = lp("stackkit/1 wrapped key", field("kind", wrapped), field("id", wrapped), self.lineage)
        data = unseal(derive(key, "key file"), aad, unb64(field("wrapped", wrapped)))
        if derive(data, "data key id")[:8].hex() != self.key_id:
            refuse("another data key")
        said, tables = ["header", self.lineage, self.key_id], seal.split("[[seal.key]]")[1:]
        said.append(str(len(tables)))
        for table in tables:
            fields = re.findall(r'^(\w+) = (?:"([^"]*)"|(\d+))$', table.split("\n[")[0], re.M)
            main = {name: text for name, text, _ in fields if name in ("kind", "id", "wrapped")}
            more = sorted((name, f"number {number}" if number else f"text {text}") for name, text, number in fields if name not in main)
            said += [main["kind"], main["id"], main["wrapped"], str(len(more)), *(part for pair in more for part in pair)]
        if re.search(r"^whole = true$", seal, re.M):
            said.append("whole")
        if unb64(field("mac", seal)) != derive(data, *said):
            refuse("an edited header")
        purposes = ("values", "records", "names", "record", "journal", "digest", "snapshot", "audit")
        self.keys = {purpose: derive(data, purpose, self.lineage) for purpose in purposes}
        self.texts, self.records = {}, {}
        self.head, self.unfolded = (0, bytes(32)), []

    def open(self, value, owner, instance, section, path=""):
        if isinstance(value, list):
            return [self.open(item, owner, instance, section, f"{path}/{index}") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if "$sealed" in value:
            token = value["$sealed"]
            aad = lp("stackkit/1 value", self.key_id, self.lineage, owner, instance, section, path)
            text = unseal(self.keys["values"], aad, unb64(token.removeprefix("sk1.")))
            if len(text) % 16:
                refuse("a plaintext without its padding")
            secret = json.loads(text)
            if isinstance(secret, dict) and set(secret) == {"$digest"}:
                return {"digest of": [word for word in sys.argv[5:] if is_of(secret["$digest"], word)]}
            return {"secret": secret}
        names = {name[1:] if name.startswith("$$") else name: item for name, item in value.items()}
        escaped = {name: name.replace("~", "~0").replace("/", "~1") for name in names}
        return {
            name: self.open(item, owner, instance, section, f"{path}/{escaped[name]}") for name, item in names.items()
        }

    def put(self, text):
        record = json.loads(text)
        body = text[:-len(',"mac":"') - 43 - 2]
        if b64(mac(self.keys["record"], body)) != record.pop("mac"):
            refuse(f"record {record['key']} was edited")
        name = record["key"]
        if name.startswith("w/"):
            aad = lp("stackkit/1 record", self.key_id, self.lineage, name)
            record = json.loads(unseal(self.keys["records"], aad, unb64(record["sealed"].removeprefix("sk1."))))
            if b64(mac(self.keys["names"], record["key"])[:16]) != name[2:]:
                refuse(f"record {name} is another one")
        kind, _, rest = record["key"].partition("/")
        if kind == "r":
            for section in ("inputs", "outputs", "seen"):
                if section in record:
                    record[section] = self.open(record[section], record["urn"], rest, section)
        options = record.get("options", {})
        if "replace_trigger" in options:
            options["replace_trigger"] = self.open(options["replace_trigger"], record["urn"], rest, "trigger")
        if kind == "i" and "inputs" in record:
            record["inputs"] = self.open(record["inputs"], record["urn"], rest, "intent")
        if kind == "p":
            record["settings"] = self.open(record["settings"], rest, "", "settings")
        if kind == "o":
            record["value"] = self.open(record["value"], rest, "", "output")
        if kind == "a":
            record["bound"] = self.open(record["bound"], rest, "", "audit")
        self.texts[name], self.records[name] = text, record

    def digest(self):
        total = sum(
            int.from_bytes(mac(self.keys["digest"], key, unb64(text[-45:-2])), "big") for key, text in self.texts.items()
        )
        return b64((total % 2**256).to_bytes(32, "big"))

    def plan(self, text):
        header, token, end = text.split("\n")
        if header != f"stackkit-plan 1 {self.key_id}" or end != "":
            refuse("no whole plan of this stack")
        return self.open({"$sealed": token}, "", "", "plan")["secret"]

    def check_origin(self, head):
        if (head["stackkit"], head["lineage"], head["key"]) != (1, self.lineage, self.key_id):
            refuse("another stack or version")

    def read(self, snapshot, journal):
        position, chain = 0, bytes(32)
        if snapshot is not None:
            head = json.loads(snapshot)
            self.check_origin(head)
            position, chain = head["position"], unb64(head["chain"])
            numbers = [position.to_bytes(8, "big"), chain, head["count"].to_bytes(8, "big"), unb64(head["digest"])]
            if "audit" in head:
                audit = head["audit"]
                self.head = (audit["lines"], unb64(audit["chain"]))
                changed = (audit["changed"].to_bytes(8, "big"), unb64(audit["fingerprint"]))
                numbers += [audit["lines"].to_bytes(8, "big"), self.head[1], *changed]
            if b64(mac(self.keys["snapshot"], self.lineage, self.key_id, *numbers)) != head["mac"]:
                refuse("the head was edited")
            for line in snapshot.split("\n"):
                if line.startswith('{"key"'):
                    self.put(line.removesuffix(","))
            if (len(self.texts), self.digest()) != (head["count"], head["digest"]):
                refuse("another set of records")
        for line in journal.split("\n")[:-1]:
            entry = json.loads(line)
            self.check_origin(entry)
            if entry["n"] <= position:
                continue
            if entry["n"] != position + 1 or unb64(entry["prev"]) != chain:
                refuse("an entry that does not follow")
            chain = mac(self.keys["journal"], chain, line[:-len(',"chain":"') - 43 - 2])
            if b64(chain) != entry["chain"]:
                refuse("an entry was edited")
            # Records are kept byte for byte, so they are cut out of the line rather than written anew.
            at, decoder = line.index('"put":[') + len('"put":['), json.JSONDecoder()
            while line[at] != "]":
                _, end = decoder.raw_decode(line, at)
                self.put(line[at:end])
                at = end + (line[end] == ",")
            for key in entry["del"]:
                del self.texts[key], self.records[key]
            if "audit" in entry:
                at = line.index(',"audit":[') + len(',"audit":[')
                while line[at] != "]":
                    _, end = decoder.raw_decode(line, at)
                    self.unfolded.append(line[at:end])
                    at = end + (line[end] == ",")
                last = self.unfolded[-1]
                self.head = (json.loads(last)["n"], unb64(last[-45:-2]))
            if self.digest() != entry["digest"]:
                refuse("another set of records after an entry")
            position = entry["n"]


    def audit(self, kept):
        keys = {self.key_id: self.keys["audit"]}
        for record in self.records.values():
            if record["key"].startswith("a/"):
                keys[record["key"][2:]] = unb64(record["bound"]["secret"])
        # Lines that a crash left in the journal beside those that were kept already are passed over.
        lines, known = list(kept), set(kept)
        lines += [line for line in self.unfolded if line not in known]
        n, chain = 0, bytes(32)
        for text in lines:
            line = json.loads(text)
            if line["n"] != n + 1 or unb64(line["prev"]) != chain:
                refuse(f"line {line['n']} does not follow line {n}")
            if line["key"] not in keys:
                refuse(f"line {line['n']} names a key that the state does not know")
            n, chain = line["n"], mac(keys[line["key"]], chain, text[:-len(',"chain":"') - 43 - 2])
            if b64(chain) != line["chain"]:
                refuse(f"line {n} was edited")
        if (n, chain) != self.head:
            refuse(f"the log ends with line {n}, and the state knows {self.head[0]}")
        return [json.loads(text) for text in lines]


def main():
    def text(path):
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()

    if len(sys.argv) == 4:
        toml, key_file, plan = sys.argv[1:]
        return json.dump(Stack(text(toml), text(key_file)).plan(text(plan)), sys.stdout, ensure_ascii=False)
    toml, key_file, folder, stack = sys.argv[1:5]
    state = Stack(text(toml), text(key_file))
    try:
        snapshot = text(f"{folder}/{stack}.state.json")
    except FileNotFoundError:
        snapshot = None
    state.read(snapshot, text(f"{folder}/{stack}.journal"))
    if sys.argv[5:] == ["audit"]:
        kept = text(f"{folder}/{stack}.audit/{state.lineage}.jsonl").split("\n")[:-1]
        return json.dump(state.audit(kept), sys.stdout, ensure_ascii=False)
    json.dump({record["key"]: record for record in state.records.values()}, sys.stdout, ensure_ascii=False)


main()
