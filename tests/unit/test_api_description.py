"""The committed API descriptions are complete, consistent, and right where it is known."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from emulator.symbols import DRIVERS, recorded_tables
from stubs.generate.declarations import Parameter
from stubs.generate.lengths import lengths
from stubs.generate.overrides import load_overrides
from stubs.generate.paths import API

LIBRARIES = ("nvml", "cuda")

# x86-64 and aarch64 alike: (size, alignment) is the same number for all of them.
SCALARS = {
    "char": 1,
    "signed char": 1,
    "unsigned char": 1,
    "short": 2,
    "unsigned short": 2,
    "int": 4,
    "unsigned int": 4,
    "float": 4,
    "long": 8,
    "unsigned long": 8,
    "long long": 8,
    "unsigned long long": 8,
    "double": 8,
    "pointer": 8,
}


@cache
def described(library: str) -> dict[str, Any]:
    return json.loads((API / f"{library}.json").read_text(encoding="utf-8"))


def function(library: str, name: str) -> dict[str, Any]:
    return described(library)["functions"][name]


def parameters(library: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every parameter with its function's name and its siblings by name."""
    return [
        (name, parameter, {sibling["name"]: sibling for sibling in entry["params"]})
        for name, entry in described(library)["functions"].items()
        for parameter in entry["params"] or []
    ]


def pointee(spelled: str) -> str:
    return spelled.removeprefix("const ").rstrip(" *")


def is_integer(library: str, spelled: str) -> bool:
    underlying = described(library)["handles"].get(spelled, spelled)
    return underlying in SCALARS and underlying not in {"pointer", "float", "double"}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return request.param


class TestCompleteness:
    def test_every_exported_function_is_described(self, library: str) -> None:
        exported = {n for t in recorded_tables(library).values() for n in t.of_type("FUNC")}
        assert exported - described(library)["functions"].keys() == set()

    def test_since_is_the_first_driver_that_exports_it(self, library: str) -> None:
        tables = recorded_tables(library)
        for name, entry in described(library)["functions"].items():
            first = next((d for d in DRIVERS if name in tables[d].symbols), None)
            if first:
                assert entry["since"] == first, name
            else:
                assert re.fullmatch(r"header \d+\.\d+", entry["since"]), name

    def test_only_these_are_without_a_prototype(self, library: str) -> None:
        unknown = {n for n, f in described(library)["functions"].items() if f["params"] is None}
        expected = {
            "nvml": {"nvmlRetry_NvRmControl"},
            "cuda": {
                "cuEGLApiInit", "cuMemGetAttribute", "cuMemGetAttribute_v2", "cudbgApiAttach",
                "cudbgApiDetach", "cudbgApiInit", "cudbgMain", "cudbgReportDriverApiError",
                "cudbgReportDriverInternalError",
            },
        }  # fmt: skip
        assert unknown == expected[library]

    def test_every_type_is_known(self, library: str) -> None:
        api = described(library)
        known = {*SCALARS, "void", *api["handles"], *api["enums"], *api["structs"]}
        known |= api["callbacks"].keys()
        used = {pointee(p["type"].replace("const", "")).strip() for _, p, _ in parameters(library)}
        used |= {pointee(f["returns"]) for f in api["functions"].values()}
        for struct in api["structs"].values():
            used |= {pointee(field[1]) for field in struct.get("fields", [])}
        assert used - known == set()

    def test_aliases_lead_to_structs(self, library: str) -> None:
        structs = described(library)["structs"]
        for name, struct in structs.items():
            assert "alias" not in struct or "fields" in structs[struct["alias"]], name

    def test_documented_errors_are_status_codes(self, library: str) -> None:
        enums = described(library)["enums"]
        codes = enums[{"nvml": "nvmlReturn_t", "cuda": "CUresult"}[library]]
        for name, entry in described(library)["functions"].items():
            assert set(entry["errors"]) <= codes.keys(), name


class TestDirections:
    def test_every_parameter_has_one(self, library: str) -> None:
        for name, parameter, _ in parameters(library):
            assert parameter["direction"] in {"in", "out", "inout"}, (name, parameter)

    def test_values_and_const_pointers_are_never_written(self, library: str) -> None:
        for name, parameter, _ in parameters(library):
            spelled = parameter["type"]
            lent = spelled.startswith("const ") and spelled.count("*") == 1
            if lent or "*" not in spelled:
                assert parameter["direction"] == "in", (name, parameter)

    def test_untyped_and_character_pointers_have_a_length(self, library: str) -> None:
        for name, parameter, _ in parameters(library):
            if parameter["type"].removeprefix("const ") in {"void *", "char *"}:
                assert "length" in parameter, (name, parameter)

    def test_callers_fill_in_the_version_of_a_versioned_struct(self, library: str) -> None:
        structs = described(library)["structs"]
        for name, parameter, _ in parameters(library):
            struct = structs.get(pointee(parameter["type"]), {})
            struct = structs.get(struct.get("alias"), struct)
            if "version" in struct and struct["fields"][0][0] == "version":
                assert parameter["direction"] in {"in", "inout"}, (name, parameter)

    @pytest.mark.parametrize(
        ("name", "directions"),
        [
            ("nvmlDeviceGetTemperature", "in in out"),
            ("nvmlDeviceGetFieldValues", "in in inout"),
            ("nvmlDeviceGetComputeRunningProcesses_v3", "in inout out"),
            ("nvmlDeviceGetMemoryInfo_v2", "in inout"),
            ("nvmlDeviceSetMigMode", "in in out"),
            ("nvmlDeviceQueryDrainState", "in out"),
            ("nvmlDeviceSetClockOffsets", "in in"),
            ("nvmlDeviceGetEncoderStats", "in out out out"),
            ("cuPointerGetAttributes", "in in in in"),
            ("cuMemcpyDtoH_v2", "out in in"),
            ("cuMemcpyHtoD_v2", "in in in"),
            ("cuTexRefSetAddress_v2", "out in in in"),
            ("cuThreadExchangeStreamCaptureMode", "inout"),
            ("cuMemHostGetDevicePointer_v2", "out in in"),
            ("cuMemGetMemPool", "out in in"),
        ],
    )
    def test_known_functions(self, name: str, directions: str) -> None:
        entry = function("nvml" if name.startswith("nvml") else "cuda", name)
        assert [p["direction"] for p in entry["params"]] == directions.split()


class TestLengths:
    def test_each_resolves(self, library: str) -> None:
        for name, parameter, siblings in parameters(library):
            if "length" in parameter:
                assert self._resolves(library, parameter["length"], siblings), (name, parameter)

    def _resolves(self, library: str, length: str, siblings: dict[str, Any]) -> bool:
        if length in {"nul", "opaque"} or length.isdecimal():
            return True
        if length in described(library)["constants"] or length.startswith("by:"):
            return not length.startswith("by:") or length[3:] in siblings
        counted = re.fullmatch(r"(?:bytes:)?(\*?)(\w+)(?:-\d)?", length)
        sibling = siblings.get(counted[2]) if counted else None
        if sibling is None:
            return False
        pointer = sibling["type"].endswith("*")
        return pointer == bool(counted[1]) and is_integer(library, pointee(sibling["type"]))

    def test_a_capacity_behind_a_pointer_is_read(self, library: str) -> None:
        # The exceptions are only written: a contract says how large the buffer has to be.
        contracts = {
            "nvmlDeviceGetGpuInstancePossiblePlacements",
            "nvmlDeviceGetGpuInstancePossiblePlacements_v2",
            "nvmlDeviceGetGpuInstances",
            "nvmlGpuInstanceGetComputeInstancePossiblePlacements",
            "nvmlGpuInstanceGetComputeInstances",
        }
        written = {
            name
            for name, parameter, siblings in parameters(library)
            if "*" in parameter.get("length", "")
            and siblings[parameter["length"].partition("*")[2]]["direction"] == "out"
        }
        assert written == (contracts if library == "nvml" else set())

    def test_pointers_in_structs_count_by_their_fields(self, library: str) -> None:
        for name, struct in described(library)["structs"].items():
            fields = {field[0]: field[1] for field in struct.get("fields", [])}
            for field, length in struct.get("lengths", {}).items():
                assert "*" in fields[field], (name, field)
                assert length == "nul" or length.removeprefix("bytes:") in fields, (name, field)

    def test_inference_from_neighbours(self) -> None:
        nvml = [Parameter("name", "char *"), Parameter("length", "unsigned int")]
        assert lengths("nvml", nvml) == {"name": "length"}
        cuda = [Parameter("pp", "void **"), Parameter("bytesize", "size_t")]
        assert lengths("cuda", cuda) == {}


class TestStructs:
    def test_the_size_that_the_compiler_measured_follows_from_the_fields(
        self, library: str
    ) -> None:
        for name, struct in described(library)["structs"].items():
            if "fields" in struct:
                assert self._layout(library, name)[0] == struct["size"], name

    def _layout(self, library: str, spelled: str) -> tuple[int, int]:
        """Size and alignment of a type, by the rules of the C ABI."""
        api = described(library)
        spelled = spelled.removeprefix("const ")
        if "*" in spelled:
            return 8, 8
        spelled = api["handles"].get(spelled, spelled)
        if spelled in SCALARS or spelled in api["enums"]:
            size = SCALARS.get(spelled, 4)
            return size, size
        struct = api["structs"][spelled]
        if "alias" in struct:
            return self._layout(library, struct["alias"])
        return self._aggregate(library, struct)

    def _aggregate(self, library: str, struct: dict[str, Any]) -> tuple[int, int]:
        end, alignment, bits = 0, struct.get("align", 1), 0
        for _, spelled, dimensions, *width in struct["fields"]:
            size, own = self._layout(library, spelled)
            alignment = max(alignment, own)
            for dimension in dimensions or []:
                size *= dimension
            if width:
                # Neighbouring bit-fields share a unit: as many as fit.
                if bits > 0 and bits + width[0] <= size * 8:
                    bits += width[0]
                    continue
                bits = width[0]
            else:
                bits = 0
            start = 0 if struct["kind"] == "union" else -(-end // own) * own
            end = max(end, start + size)
        return -(-end // alignment) * alignment, alignment

    def test_version_tags_of_the_header_agree(self) -> None:
        api = described("nvml")
        for name, struct in api["structs"].items():
            macro = name.removesuffix("_t")
            if "version" in struct and name != "nvmlGpmMetricsGet_t":
                tag = struct["size"] | struct["version"] << 24
                assert api["constants"].get(macro, tag) == tag, name

    def test_versions_of_a_parameter_are_structs_of_one_family(self) -> None:
        structs = described("nvml")["structs"]
        for name, parameter, _ in parameters("nvml"):
            stems = {re.sub(r"_v\d+_t$", "", v) for v in parameter.get("versions", [])}
            assert len(stems) <= 1, name
            numbers = [structs[v]["version"] for v in parameter.get("versions", [])]
            assert numbers == sorted(set(numbers)), name


class TestPrototypes:
    """An exported name has the prototype of that very symbol, whatever the macros alias."""

    @pytest.mark.parametrize(
        ("name", "types"),
        [
            (
                "nvmlDeviceGetComputeRunningProcesses",
                ["nvmlDevice_t", "unsigned int *", "nvmlProcessInfo_v1_t *"],
            ),
            (
                "nvmlDeviceGetComputeRunningProcesses_v2",
                ["nvmlDevice_t", "unsigned int *", "nvmlProcessInfo_v2_t *"],
            ),
            ("nvmlDeviceRemoveGpu", ["nvmlPciInfo_t *"]),
            ("nvmlInit", []),
            ("nvmlGetBlacklistDeviceCount", ["unsigned int *"]),
            ("cuDeviceTotalMem", ["unsigned int *", "CUdevice"]),
            ("cuDeviceTotalMem_v2", ["size_t *", "CUdevice"]),
            ("cuMemAlloc", ["CUdeviceptr_v1 *", "unsigned int"]),
            ("cuMemAlloc_v2", ["CUdeviceptr *", "size_t"]),
            ("cuCtxCreate", ["CUcontext *", "unsigned int", "CUdevice"]),
            ("cuGetProcAddress", ["const char *", "void **", "int", "cuuint64_t"]),
            ("cuProfilerInitialize", ["const char *", "const char *", "CUoutput_mode"]),
            ("cuGLMapBufferObject", ["CUdeviceptr_v1 *", "unsigned int *", "GLuint"]),
        ],
    )
    def test_known_functions(self, name: str, types: list[str]) -> None:
        entry = function("nvml" if name.startswith("nvml") else "cuda", name)
        assert [p["type"] for p in entry["params"]] == types

    def test_a_per_thread_variant_is_like_its_base(self) -> None:
        functions = described("cuda")["functions"]
        for name, entry in functions.items():
            base = functions.get(re.sub(r"_pt[sd][sz]$", "", name), entry)
            assert entry["params"] == base["params"], name
            assert entry["returns"] == base["returns"], name

    def test_running_processes_struct_has_grown(self) -> None:
        structs = described("nvml")["structs"]
        assert structs["nvmlProcessInfo_v1_t"]["size"] == 16
        assert structs["nvmlProcessInfo_t"] == {"alias": "nvmlProcessInfo_v2_t"}
        assert structs["nvmlProcessInfo_v2_t"]["size"] == 24


class TestOverrides:
    def test_each_names_something_that_exists(self, library: str) -> None:
        api, overrides = described(library), load_overrides(library)
        assert overrides.structs.keys() <= api["structs"].keys()
        for name, entry in overrides.functions.items():
            known = {p["name"] for p in api["functions"][name]["params"]}
            assert entry.get("params", {}).keys() <= known, name
            assert entry.keys() <= {
                "params", "reason", "prototype", "errors", "more_errors"
            }, name  # fmt: skip

    def test_a_pinned_layout_has_a_reason_and_a_release_that_was_read(self, library: str) -> None:
        for name, entry in load_overrides(library).structs.items():
            if "from" in entry:
                assert entry["from"] in described(library)["headers"], name
                assert entry["reason"], name

    def test_files_are_written_in_one_stable_form(self, library: str) -> None:
        text = (API / f"{library}.json").read_text(encoding="utf-8")
        again = json.dumps(described(library), indent=1, sort_keys=True, ensure_ascii=False)
        assert text == again + "\n"
