#!/usr/bin/env python3
"""Draws the wiring of a bench: a Raspberry Pi Pico beside the board under test.

Each drawing is a table of wires, one row each, so that none of them cross. The tables below are the
source; the SVG files and the table of README.md follow from them.

    rigs/wiring/draw.py            write the drawings
    rigs/wiring/draw.py --check    exit with 1 if a file here is not what would be written
"""

import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

# The Pico's pins: which number a GPIO has on the edge of the board (data sheet of the Pico, figure 2).
PICO_EDGE = {1: 2, 2: 4, 3: 5, 6: 9, 7: 10, 8: 11, 9: 12, 10: 14, 11: 15, 12: 16, 13: 17, 14: 19, 15: 20,
             16: 21, 17: 22, 18: 24, 19: 25, 20: 26, 21: 27, 22: 29, 26: 31, 27: 32, 28: 34}

# What each GPIO of the controller is for. Every board is wired to this one map.
ROLES = {1: "power switch", 2: "LED lane 0", 3: "LED lane 1",
         6: "display MOSI", 7: "display D/C", 8: "display CS", 9: "display SCK",
         10: "line 0", 11: "line 1", 12: "line 2", 13: "line 3", 14: "reset", 15: "boot",
         16: "loop-back out", 17: "loop-back in",
         18: "edge input 0", 19: "edge input 1", 20: "edge input 2", 21: "edge input 3",
         22: "edge input 4", 26: "edge input 5", 27: "edge input 6", 28: "edge input 7"}


class Wire(NamedTuple):
    """One wire from the Pico to the board: `listen` for what the Pico reads, `pull` for what it pulls low."""

    gpio: int
    kind: str
    board: str
    what: str
    ohms: str = "330"
    optional: bool = False


class Drawing(NamedTuple):
    name: str
    title: str
    board: str
    wires: list[Wire]
    strip: list[str]
    supply: list[str]
    notes: list[str]


DRAWINGS = [
    Drawing(
        "prism-k1", "PRISM K1 on the bench", "ESP32-S3 board",
        [
            Wire(2, "listen", "GPIO9", "LED lane 0: pixels 0 to 159"),
            Wire(3, "listen", "GPIO10", "LED lane 1: pixels 160 to 319"),
            Wire(14, "pull", "EN", "resets the board"),
            Wire(15, "pull", "GPIO0", "asks its ROM for the loader"),
            Wire(10, "pull", "GPIO4", "line 0: a button", optional=True),
            Wire(18, "listen", "any pin", "edge input 0", optional=True),
        ],
        ["lane 0: 160 x WS2812B", "lane 1: 160 x WS2812B"],
        ["5 V, up to 20 A, fused", "for lit strips only"],
        [
            "Dashed: as you need it. No strip is needed to measure: the Pico listens to the data pins themselves.",
            "320 pixels in full white take 19 A. Never feed them from USB or through the board.",
        ],
    ),
    Drawing(
        "d26-badge", "Disobey badge (D26) on the bench", "badge (ESP32-S3)",
        [
            Wire(2, "listen", "GPIO18", "LED lane 0: 12 x SK6812"),
            Wire(6, "listen", "GPIO5", "display MOSI"),
            Wire(7, "listen", "GPIO15", "display D/C"),
            Wire(8, "listen", "GPIO6", "display CS"),
            Wire(9, "listen", "GPIO4", "display SCK, at most 31 MHz"),
            Wire(10, "pull", "GPIO11", "line 0: UP"),
            Wire(11, "pull", "GPIO1", "line 1: DOWN"),
            Wire(12, "pull", "GPIO13", "line 2: A"),
            Wire(13, "pull", "GPIO38", "line 3: B"),
            Wire(14, "pull", "EN", "resets the badge"),
            Wire(15, "pull", "GPIO0", "asks its ROM for the loader"),
            Wire(18, "listen", "GPIO17", "edge input 0: LED supply", optional=True),
            Wire(19, "listen", "GPIO7", "edge input 1: display reset", optional=True),
        ],
        [],
        [],
        [
            "SELECT (GPIO45) is pressed by a high level and decides the flash voltage at reset: leave it alone.",
            "GPIO19 and 20 are the pads of the chip's own USB port: no wire there.",
        ],
    ),
]

STYLE = """
  text { font: 14px system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1b1f24; }
  .title { font-size: 20px; font-weight: 600; } .name { font-weight: 600; } .small { font-size: 12px; }
  .paper { fill: #ffffff; stroke: #d0d7de; } .block { fill: #f3f5f8; stroke: #57606a; stroke-width: 1.5; }
  .wire { fill: none; stroke-width: 2.5; } .part { fill: #ffffff; stroke: #57606a; stroke-width: 1.5; }
  .listen { stroke: #0b62c4; } .pull { stroke: #b34700; } .drive { stroke: #1a7f37; } .ground { stroke: #57606a; } .supply { stroke: #c4122f; }
  .usb { stroke: #6f42c1; } .optional { stroke-dasharray: 7 5; }
  .dot.listen { fill: #0b62c4; } .dot.ground { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .paper { fill: #0d1117; stroke: #3d444d; }
    .block { fill: #1b222c; stroke: #9198a1; } .part { fill: #0d1117; stroke: #9198a1; }
    .listen { stroke: #6cb6ff; } .pull { stroke: #f0a35e; } .drive { stroke: #57c46f; } .ground { stroke: #9198a1; } .supply { stroke: #ff7b86; }
    .usb { stroke: #b794f4; } .dot.listen { fill: #6cb6ff; } .dot.ground { fill: #9198a1; }
  }
"""

# Columns, in pixels: the computer, the Pico, the board, what hangs on the board.
HOST, HOST_WIDTH = 30, 130
PICO, PICO_WIDTH = 250, 180
BOARD, BOARD_WIDTH = 740, 170
SHIFTER, SHIFTER_WIDTH = 965, 90
STRIP, STRIP_WIDTH = 1090, 120
MARGIN, TOP, PITCH = 30, 118, 44


class Canvas:
    """The elements of one drawing, in the order in which they are painted."""

    def __init__(self):
        self.parts = []

    def box(self, left, top, width, height, style="block"):
        self.parts.append(f'<rect class="{style}" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>')

    def text(self, left, baseline, words, style="", anchor="start"):
        self.parts.append(f'<text x="{left}" y="{baseline}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>')

    def wire(self, style, *points):
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline class="wire {style}" points="{path}"/>')

    def dot(self, style, x, y):
        self.parts.append(f'<circle class="dot {style}" cx="{x}" cy="{y}" r="4.5"/>')

    def resistor(self, x, y, ohms):
        self.box(x - 27, y - 9, 54, 18, "part")
        self.text(x, y + 4, f"{ohms} Ω", "small", "middle")


def draw(drawing):
    canvas = Canvas()
    right = PICO + PICO_WIDTH
    rows = {wire.gpio: TOP + 62 + PITCH * index for index, wire in enumerate(drawing.wires)}
    ground = max(rows.values()) + PITCH
    switch = ground + PITCH
    bottom = switch + 22
    usb = bottom + 62
    height = usb + 68 + 24 * len(drawing.notes)
    width = (STRIP + STRIP_WIDTH if drawing.strip else BOARD + BOARD_WIDTH) + MARGIN

    canvas.box(1, 1, width - 2, height - 2, "paper")
    canvas.text(30, 42, drawing.title, "title")
    legend = [("listen", "the Pico listens"), ("pull", "the Pico pulls low, or lets go"),
              ("drive", "the Pico switches"), ("ground", "ground"),
              ("usb", "USB"), ("supply", "5 V")]
    x = 30
    for style, words in legend[: 6 if drawing.strip else 5]:
        canvas.wire(style, (x, 72), (x + 34, 72))
        canvas.text(x + 42, 77, words, "small")
        x += 66 + 6.2 * len(words)

    canvas.box(HOST, TOP, HOST_WIDTH, usb - TOP + 24)
    canvas.text(HOST + HOST_WIDTH / 2, TOP + 26, "computer", "name", "middle")
    canvas.text(HOST + HOST_WIDTH / 2, TOP + 46, "runs rigor", "small", "middle")
    canvas.box(PICO, TOP, PICO_WIDTH, bottom - TOP)
    canvas.text(PICO + 12, TOP + 26, "Pico", "name")
    canvas.box(BOARD, TOP, BOARD_WIDTH, usb - TOP + 24)
    canvas.text(BOARD + BOARD_WIDTH - 12, TOP + 26, drawing.board, "name", "end")

    canvas.wire("usb", (HOST + HOST_WIDTH, TOP + 62), (PICO, TOP + 62))
    canvas.text((HOST + HOST_WIDTH + PICO) / 2, TOP + 54, "USB", "small", "middle")

    for wire in drawing.wires:
        y = rows[wire.gpio]
        style = wire.kind + (" optional" if wire.optional else "")
        canvas.wire(style, (right, y), (BOARD, y))
        canvas.resistor(688, y, wire.ohms)
        canvas.text(right + 14, y - 7, wire.what, "small")
        canvas.text(right - 10, y + 5, f"GP{wire.gpio} · pin {PICO_EDGE[wire.gpio]}", "", "end")
        canvas.text(BOARD + 10, y + 5, wire.board)

    canvas.wire("ground", (right, ground), (BOARD, ground))
    canvas.text(right + 14, ground - 7, "common ground, short and thick", "small")
    canvas.text(right - 10, ground + 5, "GND · pin 23", "", "end")
    canvas.text(BOARD + 10, ground + 5, "GND")

    loop = TOP + 106
    canvas.wire("listen", (PICO, loop), (PICO - 34, loop), (PICO - 34, loop + PITCH), (PICO, loop + PITCH))
    canvas.text(PICO + 8, loop + 5, "GP16", "small")
    canvas.text(PICO + 8, loop + PITCH / 2 + 5, "loop-back", "small")
    canvas.text(PICO + 8, loop + PITCH + 5, "GP17", "small")

    # The switch is in the cable that feeds the board: an enable wire down, the cable through.
    switch_left, switch_width = 500, 150
    canvas.wire("drive optional", (right, switch), (switch_left + 75, switch), (switch_left + 75, usb - 22))
    canvas.text(right + 14, switch - 7, "power switch", "small")
    canvas.text(right - 10, switch + 5, f"GP1 · pin {PICO_EDGE[1]}", "", "end")
    canvas.wire("usb", (HOST + HOST_WIDTH, usb), (BOARD, usb))
    canvas.box(switch_left, usb - 22, switch_width, 44, "part")
    canvas.text(switch_left + switch_width / 2, usb - 3, "load switch in the", "small", "middle")
    canvas.text(switch_left + switch_width / 2, usb + 13, "cable's 5 V wire", "small", "middle")
    canvas.text(HOST + HOST_WIDTH + 14, usb - 7, "USB: console, flash, supply", "small")
    canvas.text(BOARD + 10, usb + 5, "USB")

    if drawing.strip:
        strips(canvas, drawing, [rows[wire.gpio] for wire in drawing.wires[:2]], ground)

    for index, note in enumerate(drawing.notes):
        canvas.text(30, usb + 56 + 24 * index, note)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(drawing.title)}">\n<title>{escape(drawing.title)}</title>\n<style>{STYLE}</style>\n'
        + "\n".join(canvas.parts) + "\n</svg>\n"
    )


def strips(canvas, drawing, lanes, ground):
    """What lights up: behind a level shifter, on a supply of its own."""
    edge = BOARD + BOARD_WIDTH
    shifter_top, shifter_bottom = lanes[0] - 30, lanes[-1] + 40
    supply_top = shifter_bottom + 62
    canvas.wire("supply", (SHIFTER + SHIFTER_WIDTH / 2, supply_top), (SHIFTER + SHIFTER_WIDTH / 2, shifter_bottom))
    canvas.wire("supply", (STRIP + STRIP_WIDTH / 2, supply_top), (STRIP + STRIP_WIDTH / 2, lanes[0]))
    for y, words in zip(lanes, drawing.strip):
        canvas.dot("listen", BOARD + 4, y)
        canvas.wire("listen", (edge, y), (SHIFTER, y))
        canvas.wire("listen", (SHIFTER + SHIFTER_WIDTH, y), (STRIP, y))
        canvas.box(STRIP, y - 18, STRIP_WIDTH, 36, "part")
        name, pixels = words.split(": ")
        canvas.text(STRIP + STRIP_WIDTH / 2, y - 3, name, "small", "middle")
        canvas.text(STRIP + STRIP_WIDTH / 2, y + 12, pixels, "small", "middle")
    canvas.box(SHIFTER, shifter_top, SHIFTER_WIDTH, shifter_bottom - shifter_top, "part")
    middle = SHIFTER + SHIFTER_WIDTH / 2
    canvas.text(middle, lanes[0] + 16, "74AHCT125", "small", "middle")
    canvas.text(middle, lanes[0] + 32, "3.3 V to 5 V", "small", "middle")
    canvas.box(SHIFTER, supply_top, STRIP + STRIP_WIDTH - SHIFTER, 66)
    centre = (SHIFTER + STRIP + STRIP_WIDTH) / 2
    canvas.text(centre, supply_top + 24, "LED supply", "name", "middle")
    canvas.text(centre, supply_top + 42, drawing.supply[0], "small", "middle")
    canvas.text(centre, supply_top + 58, drawing.supply[1], "small", "middle")
    canvas.wire("ground", (edge, ground), (centre, ground), (centre, supply_top + 66))


def pin_table():
    """The controller's pin map as README.md has it."""
    lines = ["| Pico | Pin | What it is | PRISM K1 | Badge |", "|---|---|---|---|---|"]
    boards = [{wire.gpio: wire for wire in drawing.wires} for drawing in DRAWINGS]
    for gpio, role in ROLES.items():
        cells = []
        for wires in boards:
            wire = wires.get(gpio)
            cells.append("" if wire is None else f"{wire.board}{', if you like' if wire.optional else ''}")
        if gpio == 1:
            cells = ["switch in its USB cable, if you like"] * 2
        if gpio == 16:
            cells = ["to GP17"] * 2
        if gpio == 17:
            cells = ["to GP16"] * 2
        lines.append(f"| GP{gpio} | {PICO_EDGE[gpio]} | {role} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- draw.py: pins -->\n", "<!-- draw.py: end -->\n"


def wanted():
    """Every file that follows from the tables, by its path."""
    files = {HERE / f"{drawing.name}.svg": draw(drawing) for drawing in DRAWINGS}
    readme = HERE / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    files[readme] = before + BEGIN + pin_table() + END + rest.split(END)[1]
    return files


def main():
    files = wanted()
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        if stale:
            sys.exit(f"{', '.join(stale)} in rigs/wiring is not what draw.py writes; run rigs/wiring/draw.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
