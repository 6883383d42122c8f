"""Headers are read as the compiler sees them, and every exported name keeps its own prototype."""

from __future__ import annotations

from pathlib import Path

import pytest

from stubs.generate.declarations import Header
from stubs.generate.describe import UndecidedError, describe_headers
from stubs.generate.headers import read_header
from stubs.generate.merge import MergedHeaders, disagreements
from stubs.generate.overrides import Overrides
from stubs.generate.releases import Release

HEADER = """
#ifndef NVML_NO_UNVERSIONED_FUNC_DEFS
#define nvmlFoo nvmlFoo_v2
#endif
#define NVML_STRUCT_VERSION(data, ver) (unsigned int)(sizeof(nvml##data##_v##ver##_t)|(ver<<24U))
#define NVML_SIZE 4
#define NVML_FLAG (NVML_SIZE | 0x10)
#define NVML_TEXT "4"
typedef struct nvmlThing_st *nvmlThing_t;
typedef enum { NVML_A = 0, NVML_B, NVML_C = 7 } nvmlKind_t;
typedef struct {
    unsigned int version; //!< set by the caller
    nvmlKind_t kind;
    union { char small[NVML_SIZE]; double large; } value;
    unsigned int low : 3, high : 29;
} nvmlFoo_v1_t;
#define nvmlFoo_v1 NVML_STRUCT_VERSION(Foo, 1)
typedef nvmlFoo_v1_t nvmlFoo_t;
/**
 * Does it.
 * @param thing   The thing
 * @param foo     Reference in which to return the foo
 * @return
 *      - \\ref NVML_SUCCESS if done
 */
/** @} */

int nvmlFoo_v2(nvmlThing_t thing, nvmlFoo_t *foo);
#ifdef NVML_NO_UNVERSIONED_FUNC_DEFS
int nvmlFoo(nvmlThing_t thing, unsigned foo[2]);
#endif
"""


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    cached = tmp_path_factory.mktemp("headers")
    release = Release("nvidia-nvml-dev", "1.2.3")
    (cached / release.folder).mkdir()
    (cached / release.folder / "nvml.h").write_text(HEADER)
    return read_header(release, cached)


class TestReadingHeaders:
    def test_each_name_has_its_own_prototype(self, header: Header) -> None:
        assert header.functions["nvmlFoo"].parameters == (
            ("thing", "nvmlThing_t", None),
            ("foo", "unsigned int *", 2),
        )
        assert header.functions["nvmlFoo_v2"].parameters[1][1] == "nvmlFoo_t *"

    def test_comments_belong_to_the_declaration_below_them(self, header: Header) -> None:
        comment = header.functions["nvmlFoo_v2"].comment
        assert comment.parameters["foo"] == "Reference in which to return the foo"
        assert comment.codes == ("NVML_SUCCESS",)
        assert header.functions["nvmlFoo"].comment.parameters == {}

    def test_numbers_are_the_compilers(self, header: Header) -> None:
        assert header.constants == {"NVML_SIZE": 4, "NVML_FLAG": 20, "nvmlFoo_v1": 24 | 1 << 24}
        assert header.enums == {"nvmlKind_t": {"NVML_A": 0, "NVML_B": 1, "NVML_C": 7}}
        assert header.structs["nvmlFoo_v1_t"].size == 24
        assert header.structs["nvmlFoo_v1_t__value"].size == 8

    def test_structs_keep_their_shape(self, header: Header) -> None:
        struct = header.structs["nvmlFoo_v1_t"]
        assert struct.version == 1
        assert [(f.name, f.type, f.bits) for f in struct.fields] == [
            ("version", "unsigned int", None),
            ("kind", "nvmlKind_t", None),
            ("value", "nvmlFoo_v1_t__value", None),
            ("low", "unsigned int", 3),
            ("high", "unsigned int", 29),
        ]
        assert header.aliases == {"nvmlFoo_t": "nvmlFoo_v1_t"}
        assert header.handles == {"nvmlThing_t": "pointer"}


class TestMergingReleases:
    @pytest.fixture
    def releases(self, tmp_path: Path) -> list[Header]:
        texts = {
            "2.1.0": "typedef struct { int a, b; } nvmlRow_t; int nvmlNew(nvmlRow_t *row);",
            "1.9.0": "typedef struct { int a; } nvmlRow_t; int nvmlOld(int a); int nvmlNew(void);",
        }
        headers = []
        for version, text in texts.items():
            release = Release("nvidia-nvml-dev", version)
            (tmp_path / release.folder).mkdir()
            (tmp_path / release.folder / "nvml.h").write_text(text)
            headers.append(read_header(release, tmp_path))
        return headers

    def test_the_newest_wins_and_older_ones_supply_the_rest(self, releases: list[Header]) -> None:
        merged = MergedHeaders(releases, Overrides({}, {}))
        assert merged.structs["nvmlRow_t"].size == 8
        assert [p.type for p in merged.functions["nvmlNew"].parameters] == ["nvmlRow_t *"]
        assert [p.name for p in merged.functions["nvmlOld"].parameters] == ["a"]
        assert merged.first_release("nvmlNew") == "1.9"

    def test_an_override_picks_the_release_of_a_struct(self, releases: list[Header]) -> None:
        overrides = Overrides({}, {"nvmlRow_t": {"from": "nvidia-nvml-dev 1.9.0"}})
        assert MergedHeaders(releases, overrides).structs["nvmlRow_t"].size == 4

    def test_a_disagreement_that_nobody_decided_stops_the_generator(
        self, releases: list[Header]
    ) -> None:
        with pytest.raises(UndecidedError, match=r"nvmlRow_t: struct of 8 bytes.* in nvidia-nvml"):
            describe_headers("nvml", releases, {})

    def test_disagreements_are_listed(self, releases: list[Header]) -> None:
        assert disagreements(releases) == {
            "nvmlNew": {
                "int (nvmlRow_t *)": ["nvidia-nvml-dev 2.1.0"],
                "int ()": ["nvidia-nvml-dev 1.9.0"],
            },
            "nvmlRow_t": {
                "struct of 8 bytes: int , int ": ["nvidia-nvml-dev 2.1.0"],
                "struct of 4 bytes: int ": ["nvidia-nvml-dev 1.9.0"],
            },
        }
