"use strict";
// Whatever the board says is text: it reaches the page by textContent only.
const by = (id) => document.getElementById(id);
const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const LINES = 1000;
const kib = (bytes) => (bytes === null ? "?" : (bytes / 1024).toFixed(1) + " KiB");
let strips = [];
let now = 0;

function build(details) {
  if (strips.length === details.length) return;
  by("strips").replaceChildren();
  strips = details.map((detail) => {
    const box = make("div", undefined, "strip");
    const title = make("p");
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", detail.pixels + " LEDs of " + detail.signal);
    box.append(title, canvas);
    by("strips").append(box);
    return { title, canvas, bytes: new Uint8Array(detail.pixels * 3) };
  });
}

// As many rows as keep the LEDs at least 11 pixels apart, all of the same length.
function fold(pixels, width) {
  const rows = Math.max(1, Math.ceil((pixels * 11) / Math.max(width, 11)));
  return { rows, columns: Math.ceil(pixels / rows) };
}

function paint(strip) {
  const { canvas, bytes } = strip;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const { rows, columns } = fold(bytes.length / 3, width);
  const pitch = Math.min(width / columns, 26);
  const height = Math.ceil(rows * pitch);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const left = (width - pitch * columns) / 2 + pitch / 2;
  const place = (index) => [left + (index % columns) * pitch, (Math.floor(index / columns) + 0.5) * pitch];
  const disc = (index, radius, colour) => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(...place(index), radius, 0, 2 * Math.PI);
    context.fill();
  };
  context.globalCompositeOperation = "lighter";
  for (let index = 0; index * 3 < bytes.length; index++) {
    const [r, g, b] = bytes.subarray(index * 3, index * 3 + 3);
    if (r + g + b) disc(index, pitch * 0.85, `rgb(${r} ${g} ${b} / 14%)`);
  }
  context.globalCompositeOperation = "source-over";
  for (let index = 0; index * 3 < bytes.length; index++) {
    const [r, g, b] = bytes.subarray(index * 3, index * 3 + 3);
    disc(index, pitch * 0.38, r + g + b ? `rgb(${r} ${g} ${b})` : "#26262a");
  }
}

function showState(state) {
  build(state.details);
  document.title = state.rig + " - rigor simulate";
  by("rig").textContent = state.rig;
  const device = state.device;
  by("lamp").className = "lamp " + device.is;
  let text = { off: "off", booting: "booting" }[device.is];
  if (device.is === "running") {
    text = `runs for ${(now - device.since).toFixed(0)} s, by ${device.cause}`;
  }
  by("device-text").textContent =
    `firmware ${state.firmware}, ${text}` + (state.crashes ? `, ${state.crashes} crashes` : "");
  by("power").textContent = device.is === "off" ? "Power on" : "Power off";
  by("pause").textContent = state.keeping.paused ? "Go on" : "Pause";
  for (const act of ["pause", "slower", "faster"]) {
    document.querySelector(`[data-act=${act}]`).hidden = state.keeping.hosts;
  }
  const late = !state.keeping.hosts && state.keeping.measured < state.keeping.wanted * 0.97;
  by("pace").textContent =
    `${now.toFixed(1)} s, ` +
    (state.keeping.paused
      ? "paused"
      : `${state.keeping.measured.toFixed(2)} x` +
        (late ? ` of ${state.keeping.wanted} x, ${state.keeping.lag.toFixed(0)} ms late` : " real time"));
  state.details.forEach((detail, index) => {
    const title = strips[index].title;
    title.replaceChildren(make("b", detail.signal), `  ${detail.pixels} LEDs, `);
    title.append(detail.fps ? `${detail.fps.toFixed(0)} frames/s` : "silent");
    if (detail.periods && detail.fps) {
      title.append(`, every ${detail.periods[0].toFixed(2)} to ${detail.periods[1].toFixed(2)} ms`);
    }
    if (detail.odd) title.append(`, ${detail.odd} odd frames`);
  });
  for (const part of ["free", "largest", "lowest"]) by("heap-" + part).textContent = kib(state.heap[part]);
  trend(state.heap.history);
  by("flash").value = state.flash.share;
  by("flash-text").textContent =
    `busy ${(state.flash.share * 100).toFixed(0)} %, ${state.flash.erased} sectors erased, ` +
    `${kib(state.flash.programmed)} programmed`;
  by("services").replaceChildren(
    ...state.services.map((service) => {
      const item = make("li", `${service.name}: port ${service.device_port} is `);
      item.append(make("code", `${service.host}:${service.port}`));
      return item;
    }),
    ...(state.console ? [make("li", `console: ${state.console}`)] : []),
  );
  by("clients").replaceChildren(
    ...(state.clients?.length ? [] : [make("li", state.clients ? "no clients" : "clients are not seen here")]),
    ...(state.clients ?? []).map((client) =>
      make("li", `${client.service} ${client.from}: ${kib(client.in)} in, ${kib(client.out)} out` +
        (client.open ? "" : ", waits"))),
  );
  by("said").replaceChildren(
    ...state.said.map((said) => {
      const item = make("li", undefined, "level-" + said.level);
      item.append(make("b", said.tag), said.text);
      return item;
    }),
  );
  if (by("pins").childElementCount !== state.pins.length) {
    by("pins").replaceChildren(...state.pins.map((pin, index) => {
      const button = make("button", pin);
      button.type = "button";
      button.addEventListener("click", () => act({ act: "press", pin: index }));
      return button;
    }));
  }
}

function trend(history) {
  const canvas = by("heap-trend");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const most = Math.max(...history, 1);
  context.fillStyle = "#4d6f94";
  const step = Math.max(canvas.width / 300, 1);
  history.slice(-canvas.width).forEach((bytes, index) => {
    const high = (bytes / most) * canvas.height;
    context.fillRect(index * step, canvas.height - high, step, high);
  });
}

function addLines(entries) {
  const log = by("log");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  for (const entry of entries) {
    const line = make("div", undefined, entry.note ? "note" : "level-" + (entry.level || ""));
    line.append(make("time", entry.at.toFixed(3)), entry.text);
    log.append(line);
  }
  while (log.childElementCount > LINES) log.firstElementChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

function act(what) {
  fetch("act", { method: "POST", body: JSON.stringify(what) }).catch(() => {});
}

for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => act({ act: button.dataset.act }));
}
by("typing").addEventListener("submit", (event) => {
  event.preventDefault();
  act({ act: "type", text: by("line").value });
  by("line").value = "";
});
window.addEventListener("resize", () => strips.forEach(paint));

const events = new EventSource("events");
events.addEventListener("open", () => {
  // The log begins anew: what is sent first is all there is.
  by("log").replaceChildren();
  document.body.classList.remove("lost");
});
events.addEventListener("error", () => {
  document.body.classList.add("lost");
  by("pace").textContent = "the simulation has ended";
});
events.addEventListener("message", (message) => {
  const told = JSON.parse(message.data);
  now = told.now;
  if (told.state) showState(told.state);
  (told.strips || []).forEach((encoded, index) => {
    if (!encoded || !strips[index]) return;
    const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
    strips[index].bytes = bytes;
    paint(strips[index]);
  });
  if (told.log) addLines(told.log);
});
