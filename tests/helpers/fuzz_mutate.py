"""Make broken files from valid ones: random edits that know where a format keeps its counts, lengths and names."""

from __future__ import annotations

import io
import json
import pickletools
import random
import re
import struct
import zipfile
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, -1, 3, 255, 65536, 10**6, 2**31 - 1, 2**31, 2**32, 10**9, 2**40, 2**63 - 1, 2**63, 2**64 - 1, 10**30)
LONG = b"9" * 5000
# Per format: pieces to insert or to overwrite with.
WORDS: dict[str, tuple[bytes, ...]] = {
    "ply": (
        *(b"element vertex 4000000000\n", b"element face 1\n", b"element other 4000000000\n", b"element other 0\n"),
        *(b"property list uchar int vertex_indices\n", b"property list uint uint other\n", b"property double x\n"),
        *(b"property uchar red\n", b"comment end_header\n", b"end_header\n", b"format ascii 1.0\n", b"\r", b"\n", b" "),
        *(b"format binary_big_endian 1.0\n", b"property list int int position\n", b"property int64 y\n", b"\n\r"),
        *(b"element vertex 0\n", b"element face -1\n", b"nan(ind)", b"1.#QNAN", b"1e999", b",", LONG, b"\xef\xbb\xbf"),
    ),
    "pcd": (
        *(b"COUNT 1 1 1\n", b"COUNT 0 1 100000000\n", b"FIELDS x y z rgb\n", b"SIZE 8 8 8\n", b"TYPE U I F\n", b" _"),
        *(
            b"POINTS 4000000000\n",
            b"WIDTH 99999999\n",
            b"DATA binary_compressed\n",
            b"DATA ascii\n",
            b"nan",
            b"\r",
            LONG,
        ),
    ),
    "json": (
        *(b"[" * 3000, b"{", b"]", b"}", b",", b"null", b"true", b"NaN", b"1e999", b"-1", b"1.5", LONG, b'""', b"[]"),
        *(b'"' + b"a" * 2000 + b'"', b'"\\u0000\\u001b[31m"', b"{}", b'"../x"', b'"segIndices":', b'"label": "wall"'),
        *(b'"\\ud800\\u202e$x_{"', b"1e308", b"9" * 400),
    ),
    "tsv": (b"\t", b"\n", b"\r\r\n", b'"', b"\0", b"-1", b"1e9", LONG, b"\xff", b"\xef\xbb\xbf", b"a" * 200000),
    "csv": (
        *(b",", b"\n", b"\r", b'"', b"\0", b"-1", b"nan", b"1e999", LONG, b"\xff", b"epoch", b"val_separation"),
        *(b"1e308", b"-1.79e308", b"5e-324", b"1e15", b"val_miou", b"step", b"$x_{", b"\xe2\x80\xae", b"\x1b[31m"),
    ),
    "html": (
        *(
            b"<section id=training>",
            b"</section>",
            b"<script>",
            b"<![if",
            b"<!--",
            b"-->",
            b"<!x [",
            b"<?",
            b"&#xd800;",
        ),
        *(
            b'<img src="x" onerror=y>',
            b"<textarea>",
            b"\xff",
            b"\0",
            b"\x1b",
            b"<p>" * 500,
            b"&",
            b'"',
            b"\xe2\x80\xae",
        ),
        *(b'<meta name="ceco3d-ended" content="[', b'<meta name="ceco3d-run" content="', b"</p>", b"<", b">"),
    ),
    "list": (
        *(b"../x", b"/etc/passwd", b"a/b", b"..", b".", b"\0", b"\\x", b"\xff", b"\xe2\x80\xae", b"\x1b[31m", b"\n"),
        *(b" ", b"a" * 5000, b"nan", b"1e999", b"-1"),
    ),
    "text": (b"=", b"axisAlignment = ", b"1 " * 16, b"nan", b"1e308", b"1e999", b"\x85", b"\0", b"\n", LONG),
    "yaml": (
        *(b"&a [*a, *a]", b"!!python/object/apply:os.system [x]\n", b"${oc.env:HOME}", b"${name}", b"[" * 2000, b": "),
        *(b"{", b"- ", b"? ", b"!!bool x", b"!!int []", b"\t", b"\0", b"\n", b"name: ../x\n", b"null", b"2001-13-77"),
        b"a0: &a0 [1]\n"
        + b"\n".join(b"a%d: &a%d [%s]" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 30)),
    ),
    "npy": (
        *(b"|O", b"<f8", b"<i8", b"|V2000000000", b"<U9", b"(", b")", b",", b"(4000000000, 3)", b"(3, 4000000000)"),
        *(b"(-1, 3)", b"()", b"(" * 500, b"True", b"[('a', '<f4')]", b"'", b"\0"),
    ),
    "safetensors": (
        *(b'"F64"', b'"I64"', b'"shape":[4000000000,4000000000]', b'"data_offsets":[0,99999999999]', b"[" * 300, b"{"),
        *(b'"__metadata__":{"names":"[]"}', b"}", b",", b'"names":"[[1]]"', b"\0"),
    ),
    "pickle": (
        *(b"cbuiltins\nbytearray\n", b"cbuiltins\neval\n", b"cposix\nsystem\n", b"ctorch\nUntypedStorage\n", b"Q"),
        *(b"ctorch\nFloatTensor\n", b"ctorch._utils\n_rebuild_qtensor\n", b"ctorch._utils\n_rebuild_sparse_tensor\n"),
        *(b"R", b"(", b"t", b"}", b"]", b"\x85", b"s", b"u", b"a", b"e", b".", b"0", b"2", b"b", b"N", b"\x81", b"h\0"),
        *(b"\x93", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x96", b"\x82\x01", b"d", b"l", b"o", b"\x94", b"Q"),
        *(b"ctorch._tensor\n_rebuild_from_type_v2\n", b"ccollections\nOrderedDict\n", b"ccopyreg\n_reconstructor\n"),
        *(b"ctorch\nSize\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch._utils\n_rebuild_tensor\n"),
        *(b"cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x02\x85R", b"ctorch\nFloatTensor\nJ\0\0\0\x7f\x85R"),
    ),
    "raw": (b"\0" * 64, b"\xff" * 64),
}
HEADER = 512  # bytes at either end, which are edited more often than the rest


def mutate(data: bytes, kind: str, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Apply a few random edits to ``data`` of the format ``kind`` (a key of WORDS, "zip" or "torch").

    others  files to take splices from
    """
    if kind in ("zip", "torch") and rng.random() < 0.8:
        return _edit_archive(data, rng)
    words = WORDS.get(kind, WORDS["pickle"])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        edit = rng.choice(_EDITS.get(kind, ()) * 2 + (_text, _text, _bytes, _bytes, _cut, _splice))
        data = edit(data, words, others, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """A position in ``data``, mostly near either end, where headers and directories are."""
    near = min(HEADER, len(data))
    return rng.choice((rng.randint(0, near), rng.randint(len(data) - near, len(data)), rng.randint(0, len(data))))


def _text(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Replace a decimal number, insert a word of the format, or repeat or drop a line."""
    at = _place(data, rng)
    choice = rng.randrange(4)
    if choice == 0:
        number = re.compile(rb"-?\d+").search(data, at)
        if number:
            return data[: number.start()] + _digits(rng) + data[number.end() :]
    if choice == 1:
        end = data.find(b"\n", at) + 1
        line = data[data.rfind(b"\n", 0, at) + 1 : end] if end else b""
        return data[:end] + line * rng.randint(1, 3) + data[end:] if rng.random() < 0.5 else data.replace(line, b"", 1)
    word = rng.choice(words)
    return data[:at] + word + data[at + (len(word) if choice == 2 else 0) :]


def _digits(rng: random.Random) -> bytes:
    return LONG if rng.random() < 0.05 else str(rng.choice(NUMBERS) + rng.randint(-1, 1)).encode()


def _bytes(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Overwrite a bit, a byte or a binary number."""
    changed, at = bytearray(data or b"\0"), max(_place(data, rng) - 1, 0)
    choice = rng.randrange(3)
    if choice == 0:
        changed[at] ^= 1 << rng.randrange(8)
    elif choice == 1:
        changed[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    else:
        width = rng.choice((2, 4, 8))
        value = rng.choice(NUMBERS) % 256**width
        changed[at : at + width] = value.to_bytes(width, "little")
    return bytes(changed)


def _cut(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Truncate the file, or drop or repeat a piece."""
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return rng.choice((data[:last], data[:first] + data[last:], data[:last] + data[first:]))


def _splice(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Join the start of this file and the end of another."""
    other = rng.choice(others)
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _json_tree(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Replace one value in a JSON tree; the result is valid JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    strange = (None, True, {}, [], [[]], "", "a" * 3000, "../x", 1.5, 1e308, float("nan"), [1, "a" * 500], {"a": [{}]})
    strange += (10**400, -0.5, float("inf"), "\ud800\u202e$x_{", "\x1b[31m")
    value = rng.choice((*strange, rng.choice(NUMBERS), [rng.choice(NUMBERS)] * 3))
    node = tree
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if rng.random() < 0.3 or not isinstance(node[key], dict | list) or not node[key]:
            node[key] = value
            break
        node = node[key]
    return json.dumps(tree).encode()


def _header(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Edit the header of an .npy or .safetensors file as text, and correct its length."""
    prefix, size = (10, "<H") if data[:6] == b"\x93NUMPY" else (8, "<Q")
    if len(data) < prefix:
        return data
    start = prefix - struct.calcsize(size)
    end = prefix + min(struct.unpack(size, data[start:prefix])[0], len(data))
    header = _text(data[prefix:end], words, others, rng)[:60000]
    return data[:start] + struct.pack(size, len(header)) + header + data[end:]


def _opcodes(data: bytes, words: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> bytes:
    """Replace a number or a global in a pickle, or insert opcodes; the rest stays valid."""
    try:
        found = [(code, position) for code, _, position in pickletools.genops(data)]
    except Exception:  # damaged by an earlier edit
        return data
    chosen = rng.randrange(len(found))
    code, start = found[chosen]
    end = found[chosen + 1][1] if chosen + 1 < len(found) else len(data)
    if "INT" in code.name or "LONG" in code.name:
        new = b"\x8a\x0d" + rng.choice(NUMBERS).to_bytes(13, "little", signed=True)
    elif code.name == "GLOBAL":
        new = rng.choice([word for word in words if word[:1] == b"c"])
    else:
        new = rng.choice((rng.choice(words), b"", data[start:end] * 2))
    return data[:start] + new + data[end:]


def _edit_archive(data: bytes, rng: random.Random) -> bytes:
    """A zip with valid checksums and edited, renamed, missing, duplicate or compressed members."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # not every seed is an archive
        return data
    chosen = rng.randrange(len(members))
    name, content = members[chosen]
    choice = rng.randrange(10)
    if choice == 0:
        del members[chosen]
    elif choice == 1:
        members[chosen] = (rng.choice(("../" + name, "/" + name, name + "\x1b", name.upper())), content)
    elif choice == 2:
        members.append((rng.choice(("../x.npy", "archive/data/9")), rng.choice(members)[1]))
    else:
        kind = {"npy": "npy", "pkl": "pickle"}.get(name.rpartition(".")[2], "raw")
        members[chosen] = (name, mutate(content, kind, [content], rng))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,))) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return out.getvalue()


Edit = Callable[[bytes, Sequence[bytes], Sequence[bytes], random.Random], bytes]
_EDITS: dict[str, tuple[Edit, ...]] = {
    "json": (_json_tree, _json_tree),
    "npy": (_header, _header),
    "safetensors": (_header, _header),
    "pickle": (_opcodes, _opcodes),
}
