#!/usr/bin/env python3
"""Writes src/collation/tables.rs: the weights of our collations, as a MariaDB server gives them.

    generate.py SOCKET > ../src/collation/tables.rs

The committed file came from MariaDB 10.11.14. Its utf8mb4_general_ci, utf8mb4_unicode_ci (UCA 4.0.0), utf8mb4_unicode_520_ci and latin1 weights are
MySQL's. MySQL's 0900 collations (UCA 9.0.0) it does not have; uca1400 (UCA 14.0.0) stands in: the same algorithm, order and equalities for the
characters both versions know, other numbers.

A table is a stream of variable-length integers (LEB128, 7 bits a byte, least first), in base64. First the dictionary: how many sequences, then each as
its length and weights. Then runs over code points, in order: gap since the end of the last run, length, code.
  code 0        characters without weight
  code 1, d     first weight = last run's first weight + zigzag(d); weights rise by one a character
  code 2, d     the same weight for all
  code 3 + n    sequence n of the dictionary
Characters in no run have the table's default, which is computed: see weights.rs.
"""
import base64, subprocess, sys

SOCKET = sys.argv[1]

def query(sql):
    out = subprocess.run(["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-S", SOCKET, "-uroot", "-N", "test", "-e", sql],
                         check=True, capture_output=True, text=True).stdout
    rows = (line.split("\t") for line in out.splitlines())
    return {int(r[0]): tuple(int(r[1][i:i + 4], 16) for i in range(0, len(r[1]), 4)) for r in rows}

def unicode_weights(collation, last):
    return query("select seq, hex(weight_string(convert(convert(unhex(lpad(hex(seq),8,'0')) using utf32) using utf8mb4) collate %s)) "
                 "from seq_0_to_1114111 where seq <= %d and seq not between 55296 and 57343" % (collation, last))

def latin1_weights(collation):
    # Code point of each byte and its one weight byte.
    return query("select conv(hex(convert(convert(unhex(lpad(hex(seq),2,'0')) using latin1) using utf32)),16,10), "
                 "lpad(hex(weight_string(convert(unhex(lpad(hex(seq),2,'0')) using latin1) collate %s)),4,'0') from seq_0_to_255" % collation)


def leb(n):
    out = bytearray()
    while True:
        b = n & 127
        n >>= 7
        out.append(b | (128 if n else 0))
        if not n:
            return bytes(out)

def zigzag(n):
    return n * 2 if n >= 0 else -n * 2 - 1

def encode(weights, default):
    dictionary, order = {}, []
    runs = []                                                   # (start, length, kind, value)
    for cp in sorted(weights):
        w = weights[cp]
        if w == default(cp):
            continue
        last = runs[-1] if runs and runs[-1][0] + runs[-1][1] == cp else None
        if len(w) == 1:
            if last and last[2] == 1 and w[0] == last[3] + last[1]:
                last[1] += 1
            elif last and last[2] == 2 and w[0] == last[3]:
                last[1] += 1
            elif last and last[2] == 1 and last[1] == 1 and w[0] == last[3]:
                last[1], last[2] = 2, 2
            else:
                runs.append([cp, 1, 1, w[0]])
            continue
        if w == ():
            kind = 0
        else:
            if w not in dictionary:
                dictionary[w] = len(order)
                order.append(w)
            kind = 3 + dictionary[w]
        if last and last[2] == kind:
            last[1] += 1
        else:
            runs.append([cp, 1, kind, 0])
    out = bytearray(leb(len(order)))
    for w in order:
        out += leb(len(w)) + b"".join(leb(x) for x in w)
    at, base = 0, 0
    for start, length, kind, value in runs:
        out += leb(start - at) + leb(length) + leb(kind)
        if kind in (1, 2):
            out += leb(zigzag(value - base))
            base = value
        at = start + length
    return bytes(out)

def emit(name, doc, data):
    text = base64.b64encode(data).decode().rstrip("=")
    lines = [text[i:i + 140] for i in range(0, len(text), 140)]
    print("\n/// %s\npub(super) const %s: &str = \"\\\n    %s\";" % (doc, name, "\\\n    ".join(lines)))

IMPLICIT = lambda base, cp: (base + (cp >> 15), cp & 0x7FFF | 0x8000)

# (first, last, base): ideographs that UCA gives computed weights; all other code points without a weight have base FBC0.
IDEOGRAPHS = {
    400: [(0x4E00, 0x9FA5, 0xFB40), (0x3400, 0x4DB5, 0xFB80)],
    520: [(0x4E00, 0x9FA5, 0xFB40), (0x3400, 0x4DB5, 0xFB80)],
    1400: [(0x4E00, 0x9FFF, 0xFB40), (0x3400, 0x4DBF, 0xFB80), (0x20000, 0x2A6DF, 0xFB80), (0x2A700, 0x2B738, 0xFB80), (0x2B740, 0x2B81D, 0xFB80),
           (0x2B820, 0x2CEA1, 0xFB80), (0x2CEB0, 0x2EBE0, 0xFB80), (0x30000, 0x3134A, 0xFB80)],
}
# (first, last, first weight): Tangut, Khitan, Nushu; the second weight counts from the first of the script.
SINIFORM = [(0x17000, 0x18AFF, 0xFB00), (0x18B00, 0x18CFF, 0xFB02), (0x1B170, 0x1B2FF, 0xFB01)]

def uca_default(version):
    def default(cp):
        if version == 400 and cp > 0xFFFF:
            return (0xFFFD,)
        if version == 1400:
            for first, last, weight in SINIFORM:
                if first <= cp <= last:
                    return (weight, cp - first | 0x8000)
        base = next((base for first, last, base in IDEOGRAPHS[version] if first <= cp <= last), 0xFBC0)
        return IMPLICIT(base, cp)
    return default

if __name__ == "__main__":
    print('''//! Weights of collations, compressed. Generated: do not edit.
//!
//! Owns:     nothing.
//! Promises: what `tables/generate.py` read from MariaDB 10.11.14; that file says how, and what the bytes mean.
//! Never:    read but by [`super::weights`].''')
    emit("GENERAL_CI", "utf8mb4_general_ci, up to U+FFFF.", encode(unicode_weights("utf8mb4_general_ci", 0xFFFF), lambda cp: (cp,)))
    emit("UNICODE_CI", "utf8mb4_unicode_ci: UCA 4.0.0.", encode(unicode_weights("utf8mb4_unicode_ci", 0x10FFFF), uca_default(400)))
    emit("UNICODE_520_CI", "utf8mb4_unicode_520_ci: UCA 5.2.0.", encode(unicode_weights("utf8mb4_unicode_520_ci", 0x10FFFF), uca_default(520)))
    first = unicode_weights("utf8mb4_uca1400_nopad_ai_ci", 0x10FFFF)
    second = unicode_weights("utf8mb4_uca1400_nopad_as_ci", 0x10FFFF)
    third = unicode_weights("utf8mb4_uca1400_nopad_as_cs", 0x10FFFF)
    # The server gives all levels of a character one after the other: cut off the levels before.
    secondary = {cp: w[len(first[cp]):] for cp, w in second.items()}
    tertiary = {cp: w[len(second[cp]):] for cp, w in third.items()}
    emit("UCA1400_PRIMARY", "UCA 14.0.0, first level.", encode(first, uca_default(1400)))
    emit("UCA1400_SECONDARY", "UCA 14.0.0, second level; 0x20 where nothing is said.", encode(secondary, lambda cp: (0x20,)))
    emit("UCA1400_TERTIARY", "UCA 14.0.0, third level; 2 where nothing is said.", encode(tertiary, lambda cp: (2,)))
    for name in ("german1_ci", "swedish_ci", "danish_ci", "bin", "general_ci", "general_cs", "spanish_ci"):
        emit("LATIN1_" + name.upper(), "latin1_%s, by code point; U+FFFD where nothing is said." % name, encode(latin1_weights("latin1_" + name), lambda cp: (0xFFFD,)))
