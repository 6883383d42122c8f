"""Redaction: captures and facts without what tells whose machine it was.

UUIDs, serial numbers, names of hosts, of virtual machines, of processes and of files are replaced:
the same by the same, wherever it stands, with something of its form. What stands for it follows
from a key that is made up for each redaction and forgotten after it, so that nobody can try
candidates. Bus ids, versions, names of products and process ids stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from secrets import token_bytes
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from msgspec.structs import replace

from .captures.format import Call, Capture
from .deriving.asked import is_name
from .facts import Facts, GpuFacts, Note, Told

__all__ = ["SEALED", "Redaction", "redact", "redact_facts"]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: What a UUID of NVIDIA's begins with.
_PREFIX = re.compile(r"^((GPU|MIG)-)*", re.IGNORECASE)

#: As short as what is looked for inside of longer texts; what is shorter is in them by chance.
SHORTEST = 5

#: Field or parameter -> what it is.
_FIELDS = {
    "uuid": "uuid",
    "mdevUuid": "uuid",
    "bytes": "uuid",
    "clusterUuid": "uuid",
    "serial": "serial",
    "chassisSerialNumber": "serial",
    "rackGuid": "serial",
    "ibGuid": "serial",
    "vmId": "serial",
    "licenseInfo": "serial",
    "processName": "process",
    **dict.fromkeys(
        ("path", "fileName", "fname", "pathToFile", "configFile", "outputFile"), "file"
    ),
    **dict.fromkeys(("logBuffer", "buffer"), "file"),
}

#: The same of one function, where the name alone does not say it.
_OF_FUNCTION = {
    ("nvmlSystemGetProcessName", "name"): "process",
    ("nvmlDeviceGetHostname_v1", "value"): "host",
    ("nvmlDeviceSetHostname_v1", "value"): "host",
    ("nvmlDeviceGetPdi", "value"): "pdi",
    ("nvmlUnitGetUnitInfo", "id"): "serial",
}

#: Texts that stay, whatever is in them: products, versions, addresses.
_KEPT = frozenset(
    (
        *("name", "version", "partNumber", "productName", "branch", "firmwareVersion", "symbol"),
        *("busId", "busIdLegacy", "pciBusId", "vgpuPciId", "guestDriverVersion"),
        *("hostDriverVersion", "vgpuTypeClass", "vgpuTypeName", "vgpuTypeLicenseString"),
    )
)

#: Functions whose answers identify a board or a host in a form that cannot be redacted:
#: certificates, keys, sealed reports.
SEALED = frozenset(
    (
        *("nvmlDeviceGetConfComputeGpuAttestationReport", "nvmlDeviceGetConfComputeGpuCertificate"),
        *("nvmlDeviceGetNvlinkNvlePrivateInfo_v1", "nvmlDeviceSetupNvlinkNvleEncryptionKey_v1"),
        "nvmlDeviceGetPgpuMetadataString",
        *("nvmlDeviceGetVgpuMetadata", "nvmlVgpuInstanceGetMetadata", "nvmlGetVgpuCompatibility"),
        *("nvmlSystemGetCPER_v1", "nvmlDeviceReadWritePRM_v1"),
        *("cuIpcGetMemHandle", "cuIpcGetEventHandle", "cuMemPoolExportPointer"),
    )
)

#: A figure of a device, or of a row of one -> what it is.
_FIGURES = {
    "uuid": "uuid",
    "cluster_uuid": "uuid",
    "serial": "serial",
    "chassis_serial_number": "serial",
    "ib_guid": "guid",
    "vm_id": "serial",
    "vm_name": "host",
    "mdev_uuid": "uuid",
    "hostname": "host",
    "pdi": "pdi",
    "group": "file",
}

#: Figures whose rows have a name that is a process's.
_PROCESSES = ("processes",)


def redact(capture: Capture) -> Capture:
    """The capture of a machine that nobody knows again."""
    return Redaction().capture(capture)


def redact_facts(facts: Facts) -> Facts:
    """The facts of a machine that nobody knows again."""
    return Redaction().facts(facts)


class Redaction:
    """What stands for what, in all that is redacted together.

    Args:
        key: what the replacements follow from; made up if not given.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or token_bytes(32)
        self._known: dict[tuple[str, str], str] = {}
        self._inside: re.Pattern[str] | None = None

    def capture(self, capture: Capture) -> Capture:
        """A capture, its header saying that it is redacted."""
        calls = [call for call in capture.calls if not _is_left_out(call)]
        for call in calls:  # a name may stand in a text before it is told as one
            self._call(call)
        return Capture(
            replace(capture.header, redacted=True, origin=self.text(capture.header.origin)),
            tuple(map(self._call, calls)),
            tuple(map(self._note, capture.notes)),
        )

    def facts(self, facts: Facts) -> Facts:
        """What is told, with what it is told of."""
        for gpu in facts.gpus:
            for told in gpu:
                self._told(told)
        return replace(
            facts,
            gpus=tuple(GpuFacts(tuple(map(self._told, gpu))) for gpu in facts.gpus),
            notes=tuple(map(self._note, facts.notes)),
        )

    def text(self, text: str) -> str:
        """A text with all that is known by now replaced in it, and every UUID."""
        return self._secrets().sub(lambda found: self._found(found[0]), text)

    # ---- kinds of what is replaced

    def uuid(self, text: str) -> str:
        """A UUID in the place of one, in its letters, with dashes or without; of a part of one
        that is known, the same part."""
        written = _PREFIX.sub("", text, 1)
        prefix = text[: len(text) - len(written)]
        plain = written.replace("-", "").lower()
        if not plain.strip("0"):
            return text  # none
        whole = (each for kind, each in self._known if kind == "uuid" and each.startswith(plain))
        told = iter(self._stand_in("uuid", next(whole, plain), _hexadecimal))
        fresh = "".join(each if each == "-" else next(told) for each in written)
        return prefix + (fresh.upper() if written.isupper() else fresh)

    def serial(self, text: str) -> str:
        """Digits for digits, letters for letters."""
        return self._stand_in("serial", text, _alike)

    def guid(self, text: str) -> str:
        """Hexadecimal digits for such."""
        return self._stand_in("serial", text, _hexadecimal)

    def process(self, name: str) -> str:
        """ "process-1" for the first one, and so on."""
        return self._numbered("process", name)

    def host(self, name: str) -> str:
        """ "host-1" for the first one, and so on."""
        return self._numbered("host", name)

    def file(self, path: str) -> str:
        """ "file-1" for the first one, and so on."""
        return self._numbered("file", path)

    def pdi(self, number: int) -> int:
        """The 64 bits of a device's own; those that a UUID begins with if they were so before."""
        if not number:
            return number
        for (kind, plain), told in list(self._known.items()):
            if kind == "uuid" and int(plain[:16], 16) == number:
                return int(told[:16], 16)
        return int(self._stand_in("pdi", f"{number:016x}", _hexadecimal), 16)

    # ---- what stands for what

    def _numbered(self, kind: str, text: str) -> str:
        if not text:
            return text
        count = sum(each == kind for each, _ in self._known)
        return self._add(kind, text, f"{kind}-{count + 1}")

    def _stand_in(self, kind: str, text: str, make: Callable[[str, bytes], str]) -> str:
        """What stands for a text: as far as there is another one, none that stands for another or
        is there itself."""
        if not text or (kind, text) in self._known:
            return self._known.get((kind, text), text)
        taken = {*self._known.values(), *(each for _, each in self._known)}
        made = text
        for attempt in range(100):
            digest = blake2b(
                f"{kind} {attempt} {text}".encode("utf-8", "surrogatepass"), key=self._key
            )
            made = make(text, digest.digest())
            if made not in taken and made != text:
                break
        return self._add(kind, text, made)

    def _add(self, kind: str, text: str, told: str) -> str:
        if (kind, text) not in self._known:
            self._known[kind, text] = told
            self._inside = None
        return self._known[kind, text]

    def _secrets(self) -> re.Pattern[str]:
        """What is looked for in longer texts, the longest first."""
        if self._inside is None:
            found = {text for _, text in self._known if len(text) >= SHORTEST}
            words = map(re.escape, sorted(found, key=len, reverse=True))
            self._inside = re.compile("|".join((_UUID.pattern, *words)), re.IGNORECASE)
        return self._inside

    def _found(self, text: str) -> str:
        """What stands for a secret that was found in a text, in whatever letters."""
        if _UUID.fullmatch(text):
            return self.uuid(text)
        for (kind, known), told in self._known.items():
            if known.lower() == text.lower():
                return told.upper() if kind in ("uuid", "serial") and text.isupper() else told
        return text

    # ---- captures

    def _call(self, call: Call) -> Call:
        outputs = call.outputs
        return replace(
            call,
            inputs=self._table(call.inputs, call.function),
            outputs=None if outputs is None else self._table(outputs, call.function),
        )

    def _table(self, table: dict[str, Any], function: str) -> dict[str, Any]:
        return {name: self._value(value, name, function) for name, value in table.items()}

    def _value(self, value: Any, name: str, function: str) -> Any:
        kind = _OF_FUNCTION.get((function, name)) or _FIELDS.get(name)
        if isinstance(value, dict):
            return self._table(value, function)
        if isinstance(value, list) and _is_bytes(value) and kind is not None:
            return self._bytes(value, kind)
        if isinstance(value, list):
            return [self._value(each, name, function) for each in value]
        if kind == "pdi":
            return self.pdi(value)
        return self._text(value, name, kind) if isinstance(value, str) else value

    def _text(self, text: str, name: str, kind: str | None) -> str:
        if is_name(text):
            return text
        if kind is None:
            return text if name in _KEPT else self.text(text)
        if kind == "uuid" and _UUID.search(text):
            return self.text(text)
        replaced: str = getattr(self, kind)(text)
        return replaced

    def _bytes(self, value: list[int], kind: str) -> list[int]:
        """Bytes of a UUID, or of a text that NULs end."""
        held = bytes(value)
        if kind == "uuid" and len(held) == 16:
            return list(bytes.fromhex(self.uuid(held.hex())))
        text = held.rstrip(b"\0")
        if text.isascii() and text.decode().isprintable():
            told = self.serial(text.decode()).encode()
        else:
            told = bytes.fromhex(self._stand_in("serial", text.hex(), _hexadecimal))
        return list(told.ljust(len(held), b"\0"))

    # ---- facts

    def _told(self, told: Told) -> Told:
        path = told.path
        value = self._figure(told.value, path[-1], path[0])
        return replace(told, value=value, where=self.text(told.where))

    def _figure(self, value: Any, name: str, group: str) -> Any:
        kind = "process" if name == "name" and group in _PROCESSES else _FIGURES.get(name)
        if isinstance(value, dict):
            return {key: self._figure(each, key, group) for key, each in value.items()}
        if isinstance(value, list):
            return [self._figure(each, name, group) for each in value]
        if value is None or kind is None:
            return value
        return getattr(self, kind)(value)

    def _note(self, note: Note) -> Note:
        return Note(self.text(note.where), self.text(note.text))


def _is_left_out(call: Call) -> bool:
    """Whether a call is one of a sealed answer, or for a UUID as bytes in a text's place."""
    if call.function == "nvmlDeviceGetHandleByUUIDV":
        return bool(call.inputs.get("uuid", {}).get("type") != UUID_AS_TEXT)
    return call.function in SEALED


UUID_AS_TEXT = 1  # NVML_UUID_TYPE_ASCII


def _is_bytes(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, int) and 0 <= each < 256 for each in value)


def _hexadecimal(text: str, digest: bytes) -> str:
    """As many hexadecimal digits."""
    return "".join(f"{byte % 16:x}" for byte in _stream(digest, len(text)))


def _alike(text: str, digest: bytes) -> str:
    """A digit for each digit, a letter for each letter."""
    return "".join(map(_character, text, _stream(digest, len(text))))


def _character(old: str, number: int) -> str:
    for kind in (digits, ascii_uppercase, ascii_lowercase):
        if old in kind:
            return kind[number % len(kind)]
    return old if old.isascii() else "x"


def _stream(digest: bytes, length: int) -> Iterator[int]:
    """As many numbers from 0 to 255 as are needed."""
    count = 0
    while length > 0:
        block = blake2b(count.to_bytes(4, "little"), key=digest).digest()
        yield from block[:length]
        count, length = count + 1, length - len(block)
