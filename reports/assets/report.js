// Filters, sorts and opens the rows of a report, and draws the evidence of cases.
// All text comes in through textContent or createTextNode: nothing here parses markup.
"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";
  // Of the drawing of lanes: width, room for names, height of a lane, and what is above the first.
  const WIDE = 1000, LEFT = 118, HIGH = 30, TOP = 8;
  root.classList.add("js");

  /** An element with attributes and children; strings become text. */
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  function draw(name, attributes = {}, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // Light and dark. Where nothing may be kept, the choice lasts as long as the page.
  const theme = one("#theme");
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  try { const kept = localStorage.getItem("rigor-theme"); if (kept) root.dataset.theme = kept; } catch { /* not kept */ }
  if (theme) {
    name();
    theme.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("rigor-theme", root.dataset.theme); } catch { /* not kept */ }
      name();
    });
  }

  // The table.
  const table = one("table.requirements");
  const rows = table ? all(":scope > tbody", table) : [];
  const form = one("#filters");
  const find = one("#find");
  const verdicts = form ? all("input[name=verdict]", form) : [];
  const words = new Map();
  /** What a row says, worked out when somebody first looks for something. */
  function said(row) {
    if (!words.has(row)) words.set(row, row.textContent.toLowerCase());
    return words.get(row);
  }

  function filter() {
    const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(verdicts.filter((box) => box.checked).map((box) => box.value));
    const picked = all("select", form).filter((select) => select.value).map((select) => [select.name, select.value]);
    let count = 0;
    for (const row of rows) {
      const fits = shown.has(row.dataset.verdict)
        && picked.every(([key, value]) => row.dataset[key].split("\n").includes(value))
        && wanted.every((word) => said(row).includes(word));
      row.hidden = !fits;
      count += fits;
    }
    one("#shown").textContent = count === rows.length ? `all ${count}` : `${count} of ${rows.length}`;
    one("#nothing").hidden = count > 0;
  }
  function showAll() {
    find.value = "";
    for (const box of verdicts) box.checked = true;
    for (const select of all("select", form)) select.value = "";
    filter();
  }

  const keys = {
    worst: (row) => Number(row.dataset.place),
    id: (row) => row.id,
    room: (row) => (row.dataset.room === "" ? Infinity : Number(row.dataset.room)),
    fidelity: (row) => one("td.fidelity", row).textContent,
  };
  function sort(button) {
    const head = button.closest("th");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = keys[button.dataset.sort];
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      // What has no figure stays last either way.
      if (x === Infinity || y === Infinity) return (x === Infinity) - (y === Infinity) || a.dataset.place - b.dataset.place;
      const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return (down ? -order : order) || a.dataset.place - b.dataset.place;
    };
    table.append(...rows.sort(compare));
  }

  function open(row, wanted = !row.classList.contains("opened")) {
    row.classList.toggle("opened", wanted);
    one(".open", row).setAttribute("aria-expanded", String(wanted));
    if (wanted) for (const place of all(".evidence:empty", row)) evidence(place);
  }

  if (table) {
    filter();
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    table.addEventListener("click", (event) => {
      const sorter = event.target.closest("[data-sort]");
      if (sorter) return sort(sorter);
      const line = event.target.closest("table.requirements > tbody > tr:first-child");
      if (line && !String(getSelection())) open(line.parentElement);
    });
    for (const link of all("[data-only]")) {
      link.addEventListener("click", () => {
        showAll();
        for (const box of verdicts) box.checked = box.value === link.dataset.only;
        filter();
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const typing = event.target.matches("input[type=search], select, textarea");
      if (event.key === "Escape" && (typing || event.target === document.body)) { showAll(); find.focus(); }
      if (typing) return;
      if (event.key === "/") { event.preventDefault(); find.focus(); }
      if (event.key === "j" || event.key === "k") {
        const seen = rows.filter((row) => !row.hidden);
        const at = seen.indexOf(event.target.closest?.("table.requirements > tbody") ?? null);
        const next = seen[event.key === "j" ? at + 1 : Math.max(at, 1) - 1];
        if (next) one(".open", next).focus();
      }
    });
    const follow = () => {
      const row = rows.find((row) => row.id === decodeURIComponent(location.hash.slice(1)));
      if (!row) return;
      if (row.hidden) showAll();
      open(row, true);
      row.scrollIntoView({ behavior: "instant" });
    };
    addEventListener("hashchange", follow);
    follow();
  }

  // On paper everything that did not pass is open.
  let forPaper = [];
  addEventListener("beforeprint", () => {
    forPaper = rows.filter((row) => !["pass", "none"].includes(row.dataset.verdict) && !row.classList.contains("opened"));
    for (const row of forPaper) open(row, true);
    for (const details of all("details:not([open])")) { details.open = true; forPaper.push(details); }
  });
  addEventListener("afterprint", () => {
    for (const thing of forPaper) if (thing.tagName === "DETAILS") thing.open = false; else open(thing, false);
  });

  /** A duration of nanoseconds, or an instant where everything is of `span`. */
  function time(ns, span = Math.abs(ns)) {
    for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
      if (span >= size) {
        const digits = Math.max(0, Math.min(9, Math.ceil(Math.log10(size / span)) + 4));
        return `${Number((ns / size).toFixed(digits))} ${unit}`;
      }
    }
    return `${Math.round(ns)} ns`;
  }
  function rounded(value) {
    return Number(value.toPrecision(5)).toLocaleString("en", { maximumFractionDigits: 4 });
  }
  /** Round values between two ends. */
  function ticks(from, until, most) {
    const raw = (until - from) / most;
    if (!(raw > 0) || !Number.isFinite(raw)) return [];
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * size).find((value) => value >= raw) ?? raw;
    const found = [];
    for (let at = Math.ceil(from / step) * step; at <= until && found.length < 50; at += step) found.push(at);
    return found;
  }

  /** Everything there is to see of a case. */
  function evidence(place) {
    const block = document.getElementById(`evidence-${place.dataset.case}`);
    if (!block) return;
    let data;
    try { data = JSON.parse(block.textContent); } catch { return; }
    if (data.outside) {
      place.append(make("p", { class: "note" }, "The evidence of this case has no room in this page; it is in results.json."));
      return;
    }
    if (data.lanes.length) place.append(make("h4", {}, "What happened"), ...lanes(data));
    if (data.pictures.length) place.append(make("h4", {}, "What it showed"), pictures(data));
    place.append(...waterfalls(data));
    if (data.series.length) {
      place.append(make("h4", {}, "Over time"), make("div", { class: "charts" }, ...data.series.map(series)));
    }
    if (data.log.length) place.append(make("h4", {}, "Log"), log(data));
    if (data.files.length) {
      place.append(make("p", { class: "note" }, "Files for other tools, beside results.json: "));
      for (const file of data.files) place.lastChild.append(make("code", {}, file), " ");
    }
  }

  function lanes(data) {
    const whole = { from: data.from, until: Math.max(data.until, data.from + 1) };
    const view = { ...whole };
    const narrow = root.clientWidth < 700;
    const left = narrow ? 74 : LEFT, wide = narrow ? 420 : WIDE;
    const high = TOP + data.lanes.length * HIGH + 24;
    const svg = draw("svg", {
      class: "lanes", viewBox: `0 0 ${wide} ${high}`, tabindex: "0", role: "application",
      "aria-label": "Lanes on one time axis. Plus and minus zoom, arrow keys move, 0 shows everything, n and p go from mark to mark.",
    });
    const told = make("output", {});
    const x = (ns) => left + (ns - view.from) / (view.until - view.from) * (wide - left - 8);
    const ns = (place) => view.from + (place - left) / (wide - left - 8) * (view.until - view.from);
    let cursor = null;

    function paint() {
      svg.replaceChildren();
      const span = view.until - view.from;
      for (const at of ticks(view.from, view.until, narrow ? 3 : 7)) {
        svg.append(draw("line", { class: "grid", x1: x(at), x2: x(at), y1: TOP, y2: high - 20 }));
        svg.append(draw("text", { x: x(at), y: high - 7, "text-anchor": "middle" }, time(at, Math.max(span, 1))));
      }
      data.lanes.forEach((lane, index) => {
        const y = TOP + index * HIGH;
        svg.append(draw("rect", { class: "ground", x: left, y: y + 3, width: wide - left - 8, height: HIGH - 8 }));
        const label = draw("text", { class: "name", x: 6, y: y + (lane.left ? 14 : 18) }, shorten(lane.name, narrow ? 10 : 17));
        if (lane.left) svg.append(draw("text", { class: "more", x: 6, y: y + 25 }, `and ${lane.left} more`));
        label.append(draw("title", {}, lane.name));
        svg.append(label);
        let drawnTo = -1, wordTo = left;
        for (const [at, length, text] of lane.marks) {
          if (at + length < view.from || at > view.until) continue;
          const from = Math.max(x(at), left), until = Math.min(x(at + length), wide - 8);
          // What falls on a place that is drawn already would only cost time.
          if (until <= drawnTo) continue;
          const start = Math.max(from, drawnTo);
          const width = Math.max(until - start, length ? 0.7 : 2);
          svg.append(draw("rect", { class: `m ${lane.kind}`, x: start, y: y + 6, width, height: HIGH - 14 }));
          drawnTo = start + width - 0.2;
          if (!text || narrow || start < wordTo) continue;
          // Inside where there is room, else behind, up to the next mark.
          const room = text.length * 6.4 + 8, inside = width > room;
          const next = lane.marks.find(([later]) => later > at + length);
          const behind = (next ? Math.min(x(next[0]), wide - 8) : wide - 8) - (start + width);
          if (!inside && behind < Math.min(room, 90)) continue;
          const word = shorten(text, Math.floor(((inside ? width : behind) - 8) / 6.4));
          svg.append(draw("text", { class: inside ? "word on" : "word", x: (inside ? start : start + width) + 4, y: y + 18 }, word));
          wordTo = start + (inside ? width : width + room);
        }
      });
      if (cursor !== null && cursor >= view.from && cursor <= view.until) {
        svg.append(draw("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: 0, y2: high - 20 }));
      }
    }
    function clamp() {
      const span = Math.min(Math.max(view.until - view.from, 50), whole.until - whole.from);
      view.from = Math.min(Math.max(view.from, whole.from), whole.until - span);
      view.until = view.from + span;
      paint();
    }
    function zoom(factor, around = (view.from + view.until) / 2) {
      view.from = around - (around - view.from) * factor;
      view.until = around + (view.until - around) * factor;
      clamp();
    }
    function move(share) {
      const by = (view.until - view.from) * share;
      view.from += by;
      view.until += by;
      clamp();
    }
    function reset() { Object.assign(view, whole); cursor = null; paint(); told.textContent = ""; }
    const say = (lane, mark) => {
      const length = mark[1] ? ` for ${time(mark[1])}` : "";
      told.textContent = `${lane.name} at ${time(mark[0], whole.until)}${length}${mark[2] ? `: ${mark[2]}` : ""}`;
    };
    /** The next or previous mark of all lanes. */
    function step(direction) {
      const marks = data.lanes.flatMap((lane) => lane.marks.map((mark) => ({ lane, mark })));
      marks.sort((a, b) => a.mark[0] - b.mark[0]);
      const from = cursor ?? (direction > 0 ? view.from - 1 : view.until + 1);
      const next = direction > 0 ? marks.find(({ mark }) => mark[0] > from) : marks.findLast(({ mark }) => mark[0] < from);
      if (!next) return;
      cursor = next.mark[0];
      if (cursor < view.from || cursor > view.until) {
        const half = (view.until - view.from) / 2;
        Object.assign(view, { from: cursor - half, until: cursor + half });
      }
      clamp();
      say(next.lane, next.mark);
    }
    const position = (event) => {
      const box = svg.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * wide, (event.clientY - box.top) / box.height * high];
    };
    svg.addEventListener("wheel", (event) => {
      // A page is scrolled more often than a drawing is zoomed.
      if (!event.ctrlKey && !event.shiftKey && document.activeElement !== svg) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, ns(position(event)[0]));
    }, { passive: false });
    let held = null;
    svg.addEventListener("pointerdown", (event) => {
      held = position(event)[0];
      svg.focus({ preventScroll: true });
      try { svg.setPointerCapture(event.pointerId); } catch { /* the pointer is gone */ }
    });
    svg.addEventListener("pointerup", () => { held = null; });
    svg.addEventListener("pointermove", (event) => {
      const [px, py] = position(event);
      if (held !== null) {
        move((held - px) / (wide - left - 8));
        held = px;
        return;
      }
      const lane = data.lanes[Math.floor((py - TOP) / HIGH)];
      const at = ns(px), reach = (view.until - view.from) * 4 / wide;
      const mark = lane?.marks.find(([from, length]) => from - reach <= at && at <= from + length + reach);
      if (mark) say(lane, mark);
    });
    svg.addEventListener("dblclick", (event) => zoom(0.4, ns(position(event)[0])));
    svg.addEventListener("keydown", (event) => {
      const does = {
        "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: reset,
        ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), n: () => step(1), p: () => step(-1),
      }[event.key];
      if (does && !event.ctrlKey && !event.metaKey) { event.preventDefault(); event.stopPropagation(); does(); }
    });
    const tool = (text, label, does) => {
      const button = make("button", { type: "button", class: "quiet", "aria-label": label, title: label }, text);
      button.addEventListener("click", does);
      return button;
    };
    const tools = make("div", { class: "tools" },
      tool("+", "zoom in", () => zoom(0.6)), tool("−", "zoom out", () => zoom(1 / 0.6)),
      tool("◂", "earlier", () => move(-0.3)), tool("▸", "later", () => move(0.3)),
      tool("all", "the whole slice", reset), told);
    paint();
    return [svg, tools];
  }
  function shorten(text, most) {
    return text.length > most ? `${text.slice(0, Math.max(most - 1, 1))}…` : text;
  }

  function pictures(data) {
    const place = make("div", { class: "pictures" });
    for (const picture of data.pictures) {
      const [width, height] = picture.size;
      const image = make("img", { src: `data:image/png;base64,${picture.png}`, alt: picture.caption });
      // A strip of LEDs is read from left to right; a panel keeps its shape.
      if (height <= 4 && width > 8) image.className = "row";
      else image.width = Math.min(640, width * Math.max(1, Math.min(8, Math.floor(320 / width))));
      place.append(make("figure", {}, image, make("figcaption", {}, / at .*\d/.test(picture.caption) ? picture.caption : `${picture.caption}, at ${time(picture.at, 1e9)}`)));
    }
    if (data.unshown) place.append(make("p", { class: "note" }, `${data.unshown} more in results.json`));
    return place;
  }

  /** The last exchanges; those before them are a click away. */
  function waterfalls({ falls, unfallen }) {
    const shown = falls.slice(-3), before = falls.slice(0, -3);
    const drawn = (fall) => [make("h4", {}, fall.name), waterfall(fall)];
    const places = shown.flatMap(drawn);
    if (before.length) {
      const details = make("details", {}, make("summary", { class: "note" }, `${before.length} exchanges before these`));
      details.addEventListener("toggle", () => details.append(...before.flatMap(drawn)), { once: true });
      places.unshift(details);
    }
    if (unfallen) places.unshift(make("p", { class: "note" }, `${unfallen} exchanges more are in results.json`));
    if (falls.length) places.unshift(make("h4", {}, "Where the time went"));
    return places;
  }
  function waterfall(fall) {
    const place = make("div", { class: "fall" });
    const from = Math.min(...fall.steps.map(([at]) => at));
    const until = Math.max(...fall.steps.map(([at, length]) => at + length), from + 1);
    for (const [at, length, text] of fall.steps) {
      const svg = draw("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" });
      const start = (at - from) / (until - from) * 1000;
      svg.append(draw("rect", { class: "ground", x: 0, y: 6, width: 1000, height: 2 }));
      svg.append(draw("rect", { x: start, y: 1, width: Math.max(length / (until - from) * 1000, 2), height: 12 }));
      place.append(make("span", {}, text), svg, make("span", { class: "long" }, length ? time(length) : ""));
    }
    place.append(make("span", { class: "of" }, "in all"), make("span"), make("span", { class: "long" }, time(until - from)));
    return place;
  }

  function series({ name, unit, points, limits, left }) {
    const caption = left ? `${name} (${left} points between these are left out)` : name;
    const place = make("figure", {}, make("figcaption", { class: "note" }, caption));
    if (!points.length) return place;
    const values = points.map(([, value]) => value);
    let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    const span = high - low || Math.abs(high) || 1;
    // A limit far away would press the curve flat; then it is only named.
    const near = limits.filter((limit) => limit >= low - 20 * span && limit <= high + 20 * span);
    const far = limits.filter((limit) => !near.includes(limit)).map((limit) => `${rounded(limit)} ${unit}`);
    if (far.length) place.lastChild.append(`; limit far outside: ${far.join(", ")}`);
    for (const limit of near) { low = Math.min(low, limit); high = Math.max(high, limit); }
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    low -= room;
    high += room;
    const from = points[0][0], until = Math.max(points.at(-1)[0], from + 1);
    const x = (at) => 58 + (at - from) / (until - from) * 380, y = (value) => 140 - (value - low) / (high - low) * 130;
    const svg = draw("svg", { class: "chart", viewBox: "0 0 450 165", role: "img", "aria-label": `${name}: ${rounded(Math.min(...values))} to ${rounded(Math.max(...values))} ${unit}` });
    if (near.length === 2) {
      const [a, b] = [y(Math.max(...near)), y(Math.min(...near))];
      svg.append(draw("rect", { class: "band", x: 58, y: a, width: 380, height: Math.max(b - a, 1) }));
    }
    for (const limit of near) {
      svg.append(draw("line", { class: "limit", x1: 58, x2: 438, y1: y(limit), y2: y(limit) }));
      svg.append(draw("text", { class: "limit", x: 434, y: y(limit) - 4, "text-anchor": "end" }, `${rounded(limit)} ${unit}`));
    }
    for (const value of ticks(low, high, 4)) {
      svg.append(draw("text", { x: 52, y: y(value) + 4, "text-anchor": "end" }, rounded(value)));
      svg.append(draw("line", { class: "axis", x1: 55, x2: 58, y1: y(value), y2: y(value) }));
    }
    svg.append(draw("line", { class: "axis", x1: 58, x2: 438, y1: 140, y2: 140 }));
    for (const at of ticks(from, until, 4)) {
      svg.append(draw("text", { x: x(at), y: 157, "text-anchor": "middle" }, time(at, until - from)));
    }
    const path = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    svg.append(draw("path", { class: "line", d: path }));
    // What lies outside has a mark of its own.
    if (near.length) {
      const [least, most] = near.length === 2 ? [Math.min(...near), Math.max(...near)] : [-Infinity, Infinity];
      for (const [at, value] of points.filter(([, value]) => value < least || value > most).slice(0, 200)) {
        svg.append(draw("circle", { class: "dot out", cx: x(at), cy: y(value), r: 3 }));
      }
    }
    place.append(svg);
    return place;
  }

  function log(data) {
    const place = make("pre", { class: "log", tabindex: "0", "aria-label": "log" });
    if (data.unlogged) place.append(make("span", { class: "note" }, `${data.unlogged} lines before these are in results.json\n`));
    for (const [at, text] of data.log) place.append(make("time", {}, `${(at / 1e9).toFixed(6)}`), `${text}\n`);
    return place;
  }

  // The kill matrix: which cell is under the pointer.
  const names = one("#kills-names");
  if (names) {
    all(".matrix").forEach((figure) => {
      const data = JSON.parse(figure.parentElement.querySelector("script")?.textContent ?? names.textContent);
      const svg = one("svg", figure), told = one("figcaption", figure);
      let at = [0, 0];
      const say = (column, row) => {
        if (!data.faults[column] || !data.subjects[row]) return;
        at = [column, row];
        const point = svg.createSVGPoint();
        [point.x, point.y] = [column + 0.5, row + 0.5];
        const hit = all("path", svg).find((path) => path.isPointInFill?.(point));
        told.textContent = `${data.subjects[row]} under ${data.faults[column]}: ${hit ? hit.dataset.meaning : "green"}`;
      };
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        say(Math.floor((event.clientX - box.left) / box.width * data.faults.length),
          Math.floor((event.clientY - box.top) / box.height * data.subjects.length));
      });
      svg.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (by) { event.preventDefault(); say(at[0] + by[0], at[1] + by[1]); }
      });
    });
  }
})();
