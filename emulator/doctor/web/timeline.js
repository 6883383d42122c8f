// The time line: a lane for each process, in the order of the tree, and one for each further thread.
// It is drawn on a canvas as large as what is seen of it.

const RULER = 26;
const LANE = 26;
const THREAD = 18;
const LABEL = 14; // of a lane's own height, where the labels are above the lanes
const NARROW = 640;
const NEAR = 7; // pixels from a mark at which it is meant
const MOST_LANES = 60; // with more, threads have none of their own unless asked for
const TALLEST = 800; // pixels that are printed: a page
const CLOSEST = 2000; // nanoseconds that fill the width at the largest zoom

const timeline = {
  box: byId("timeline"), ruler: byId("ruler"), tracks: byId("tracks"), labels: byId("lanes"),
  lanes: [], laneOf: new Map(), axis: null, from: 0, to: 1, chosen: null, hovered: null, said: null,
  dimmed: null, onChoose: () => {}, onEnter: () => {}, onProcess: () => {},
};

// ---- lanes

function makeLanes() {
  const apart = byId("threads").checked;
  const threads = new Map(report.depths.map(([pid]) => [pid, new Map([[pid, []]])]));
  for (const row of rows) {
    const of = threads.get(row.pid);
    const tid = apart ? row.tid : row.pid;
    if (!of.has(tid)) of.set(tid, []);
    of.get(tid).push(row);
  }
  timeline.lanes = report.depths.flatMap(([pid, depth]) =>
    [...threads.get(pid)].map(([tid, own]) => ({ pid, tid, depth, rows: own, main: tid === pid, top: 0, height: 0 })));
  for (const lane of timeline.lanes) {
    lane.label = label(lane);
    for (const row of lane.rows) timeline.laneOf.set(row, lane);
  }
  timeline.labels.replaceChildren(...timeline.lanes.map((lane) => lane.label));
}

function label(lane) {
  const pid = make("span", { className: "pid", textContent: lane.main ? lane.pid : `thread ${lane.tid}` });
  const element = lane.main
    ? make("button", { type: "button", className: "lane", tabIndex: -1, title: argvOf(lane.pid).join(" ") },
      make("span", { className: "name", textContent: nameOf(lane.pid) }), pid,
      make("span", { className: "arguments", textContent: argvOf(lane.pid).slice(1).map(withoutFolder).join(" ") }))
    : make("div", { className: "lane sub" }, pid);
  const bad = lane.rows.filter((row) => row.bad).length;
  if (bad) element.append(make("span", { className: "bad", textContent: `✕${bad}`, title: `${bad} failed` }));
  element.style.setProperty("--depth", Math.min(lane.depth, 8));
  element.addEventListener("click", () => timeline.onProcess(lane.pid));
  return element;
}

function arrange() {
  arrangeFor(timeline.box.clientWidth, timeline.box.clientHeight - RULER);
}

// On paper one page of lanes is seen, with their labels above them.
function arrangeForPaper() {
  arrangeFor(NARROW - 1, TALLEST);
  const height = Math.min(timeline.total, TALLEST);
  timeline.box.style.setProperty("--lanes", `${height}px`);
}

function arrangeFor(width, height) {
  const narrow = width < NARROW;
  timeline.above = narrow ? LABEL : 0;
  let top = 0;
  for (const lane of timeline.lanes) {
    lane.top = top;
    lane.height = (lane.main ? LANE : THREAD) + timeline.above;
    lane.label.style.top = `${top}px`;
    lane.label.style.height = lane.label.style.lineHeight = `${narrow ? LABEL + 2 : lane.height}px`;
    top += lane.height;
  }
  timeline.total = top;
  timeline.box.classList.toggle("narrow", narrow);
  timeline.left = narrow ? 8 : timeline.labels.clientWidth + 8;
  timeline.full = width;
  timeline.width = Math.max(width - timeline.left - 12, 40);
  timeline.box.style.setProperty("--lanes", `${top}px`);
  timeline.height = Math.max(height, 1);
  timeline.tracks.style.marginBottom = `${-timeline.height}px`;
  size(timeline.ruler, RULER);
  size(timeline.tracks, timeline.height);
  draw();
}

function size(canvas, height) {
  canvas.width = Math.round(timeline.full * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  canvas.style.width = `${timeline.full}px`;
  canvas.style.height = `${height}px`;
}

function makeAxis() {
  const times = rows.flatMap((row) => (row.us ? [row.t, endOf(row)] : [row.t]));
  for (const process of report.processes) times.push(process.began, process.ended ?? process.began);
  timeline.axis = new Axis(times, byId("shorten").checked);
}

// ---- time <-> pixels

function x(time) {
  const { left, width, from, to } = timeline;
  return left + ((timeline.axis.place(time) - from) / (to - from)) * width;
}

function timeAt(pixel) {
  const { left, width, from, to } = timeline;
  return timeline.axis.time(from + ((pixel - left) / width) * (to - from));
}

function look(from, to) {
  const width = limited(to - from, CLOSEST / (timeline.axis.end - timeline.axis.begin), 1);
  const start = limited((from + to - width) / 2, 0, 1 - width);
  [timeline.from, timeline.to] = [start, start + width];
  requestDraw();
}

function zoom(factor, pixel = timeline.left + timeline.width / 2) {
  const { from, to, left, width } = timeline;
  const share = limited((pixel - left) / width, 0, 1);
  const still = from + share * (to - from);
  const next = limited((to - from) * factor, CLOSEST / (timeline.axis.end - timeline.axis.begin), 1);
  look(still - share * next, still + (1 - share) * next);
}

function pan(pixels) {
  const by = (pixels / timeline.width) * (timeline.to - timeline.from);
  const held = limited(by, -timeline.from, 1 - timeline.to);
  look(timeline.from + held, timeline.to + held);
}

function zoomAll() {
  look(0, 1);
}

// ---- drawing

let awaited = false;

function requestDraw() {
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(draw);
}

function colours() {
  const style = getComputedStyle(timeline.box);
  const names = ["text", "quiet", "line", "surface", "band", "nvml", "cuda", "event", "bad", "accent", "pause"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function context(canvas) {
  const drawing = canvas.getContext("2d");
  drawing.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  drawing.clearRect(0, 0, canvas.width, canvas.height);
  return drawing;
}

function draw() {
  awaited = false;
  const colour = colours();
  drawRuler(context(timeline.ruler), colour);
  const drawing = context(timeline.tracks);
  const top = timeline.box.scrollTop;
  drawPauses(drawing, colour);
  for (const lane of timeline.lanes) {
    const y = lane.top - top;
    if (y + lane.height < 0 || y > timeline.height) continue;
    drawLane(drawing, colour, lane, y);
  }
  drawChosen(drawing, colour, top);
}

function drawPauses(drawing, colour) {
  drawing.fillStyle = colour.pause;
  for (const { from, to } of timeline.axis.breaks) {
    drawing.fillRect(x(from) + 1, 0, Math.max(x(to) - x(from) - 2, 1), Math.min(timeline.height, timeline.total));
  }
}

function drawRuler(drawing, colour) {
  drawing.font = getComputedStyle(timeline.box).font;
  drawing.textAlign = "center";
  drawing.textBaseline = "middle";
  const taken = [];
  const put = (text, at, style) => {
    const half = drawing.measureText(text).width / 2;
    const centre = limited(at, timeline.left + half - 4, timeline.left + timeline.width - half + 8);
    if (Math.abs(centre - at) > half + 4 || taken.some(([a, b]) => centre + half + 10 > a && centre - half - 10 < b)) return false;
    taken.push([centre - half, centre + half]);
    drawing.fillStyle = style;
    drawing.fillText(text, centre, RULER / 2 - 1);
    return true;
  };
  const pause = ({ from, to }) => ({ text: `⋯ ${span(to - from)}`, at: (x(from) + x(to)) / 2, length: to - from, width: x(to) - x(from) });
  const pauses = timeline.axis.breaks.map(pause).sort((one, other) => other.length - one.length);
  const long = (timeline.axis.end - timeline.axis.begin) / 10;
  for (const { text, at, length, width } of pauses) {
    if (length > long || drawing.measureText(text).width < width + 16) put(text, at, colour.quiet);
  }
  for (const time of ticks()) {
    if (!put(span(time), x(time), colour.text)) continue;
    drawing.fillStyle = colour.quiet;
    drawing.fillRect(Math.round(x(time)), RULER - 5, 1, 5);
  }
}

// Round times, about 100 pixels apart; none within a pause.
function ticks() {
  const found = new Set();
  for (let pixel = timeline.left; pixel <= timeline.left + timeline.width; pixel += 50) {
    const step = round(Math.max(timeAt(pixel + 50) - timeAt(pixel - 50), 10));
    const time = Math.max(Math.round(timeAt(pixel) / step) * step, 0);
    const inPause = timeline.axis.breaks.some(({ from, to }) => time > from && time < to);
    if (!inPause && x(time) >= timeline.left - 1 && x(time) <= timeline.left + timeline.width + 1) found.add(time);
  }
  return found;
}

function drawLane(drawing, colour, lane, y) {
  const [left, right] = [timeline.left - 4, timeline.left + timeline.width + 6];
  if (lane.main) {
    drawing.fillStyle = colour.line;
    drawing.fillRect(0, y, timeline.full, 1);
  }
  const middle = y + timeline.above + (lane.height - timeline.above) / 2;
  const process = processes.get(lane.pid);
  const first = lane.main ? process.began : lane.rows[0].t;
  const last = lane.main ? process.ended ?? endOf(lane.rows.at(-1) ?? { t: process.began }) : endOf(lane.rows.at(-1));
  const [from, to] = [limited(x(first), left, right), limited(x(last), left, right)];
  drawing.fillStyle = colour.band;
  drawing.fillRect(from, middle - (lane.main ? 8 : 1), Math.max(to - from, 1), lane.main ? 16 : 2);
  drawing.save();
  drawing.beginPath();
  drawing.rect(left, y, right - left, lane.height);
  drawing.clip();
  const reach = lane.main ? 8 : 6;
  let drawn = "";
  for (const row of [...lane.rows.filter((each) => !each.bad), ...lane.rows.filter((each) => each.bad)]) {
    const [start, end] = [x(row.t), x(endOf(row))];
    if (end < left - 8 || start > right + 8) continue;
    const faded = timeline.dimmed && !timeline.dimmed.has(row);
    const same = `${Math.round(start * 2)} ${Math.round(end * 2)} ${row.library} ${row.bad} ${faded}`;
    if (same === drawn) continue;
    drawn = same;
    drawing.globalAlpha = faded ? 0.15 : 1;
    drawMark(drawing, colour, row, start, end, middle, reach);
  }
  drawing.restore();
}

function drawMark(drawing, colour, row, start, end, middle, reach) {
  drawing.fillStyle = row.bad ? colour.bad : colour[row.library] ?? colour.event;
  if (row.kind === "call") {
    drawing.fillRect(start - 1, middle - reach + 2, Math.max(end - start, 2), 2 * reach - 4);
    if (row.bad) triangle(drawing, start, middle - reach - 2);
  } else if (row.bad) {
    cross(drawing, start, middle, colour.bad);
  } else {
    drawing.beginPath();
    drawing.arc(start, middle, 2.5, 0, 2 * Math.PI);
    drawing.fill();
  }
}

function triangle(drawing, at, y) {
  drawing.beginPath();
  drawing.moveTo(at - 4, y);
  drawing.lineTo(at + 4, y);
  drawing.lineTo(at, y + 6);
  drawing.fill();
}

function cross(drawing, at, y, colour) {
  drawing.strokeStyle = colour;
  drawing.lineWidth = 2;
  drawing.beginPath();
  for (const side of [-1, 1]) {
    drawing.moveTo(at - 4, y - 4 * side);
    drawing.lineTo(at + 4, y + 4 * side);
  }
  drawing.stroke();
}

function drawChosen(drawing, colour, top) {
  for (const [row, style] of [[timeline.hovered, colour.quiet], [timeline.chosen, colour.accent]]) {
    if (!row) continue;
    const lane = timeline.laneOf.get(row);
    const [start, end] = [x(row.t), x(endOf(row))];
    if (end < timeline.left - 8 || start > timeline.left + timeline.width + 8) continue;
    drawing.strokeStyle = style;
    drawing.lineWidth = 1.5;
    const reach = (lane.height - timeline.above) / 2 - 1;
    const middle = lane.top - top + timeline.above + reach + 1;
    drawing.strokeRect(start - 5, middle - reach, Math.max(end - start, 1) + 9, 2 * reach);
  }
}

// ---- choosing

// The mark that is meant at a place of the box; failures before others, calls before events.
function markAt(pixelX, pixelY) {
  const y = pixelY - RULER + timeline.box.scrollTop;
  const lane = timeline.lanes.find((each) => y >= each.top && y < each.top + each.height);
  let [best, distance] = [null, NEAR];
  for (const row of lane?.rows ?? []) {
    if (timeline.dimmed && !timeline.dimmed.has(row)) continue;
    const away = Math.max(x(row.t) - pixelX, pixelX - x(endOf(row)), 0) - (row.bad ? 3 : 0) - (row.kind === "call" ? 1 : 0);
    if (away < distance) [best, distance] = [row, away];
  }
  return best;
}

function choose(row) {
  timeline.chosen = row;
  if (row) reveal(row);
  requestDraw();
}

function reveal(row) {
  const place = timeline.axis.place(row.t);
  const width = timeline.to - timeline.from;
  if (place < timeline.from || place > timeline.to) look(place - width / 2, place + width / 2);
  const lane = timeline.laneOf.get(row);
  const { scrollTop } = timeline.box;
  if (lane.top < scrollTop) timeline.box.scrollTop = lane.top;
  else if (lane.top + lane.height > scrollTop + timeline.height) timeline.box.scrollTop = lane.top + lane.height - timeline.height;
}

function step(by) {
  const shown = (row) => !timeline.dimmed || timeline.dimmed.has(row);
  const own = (timeline.chosen ? timeline.laneOf.get(timeline.chosen).rows : rows).filter(shown);
  if (!own.length) return null;
  return own[limited(own.indexOf(timeline.chosen) + by, 0, own.length - 1)];
}

// The nearest in time of the next lane that has any.
function stepLane(by) {
  if (!timeline.chosen) return step(1);
  const { t } = timeline.chosen;
  for (let at = timeline.lanes.indexOf(timeline.laneOf.get(timeline.chosen)) + by; timeline.lanes[at]; at += by) {
    const own = timeline.lanes[at].rows.filter((row) => !timeline.dimmed || timeline.dimmed.has(row));
    if (own.length) return own.reduce((best, row) => (Math.abs(row.t - t) < Math.abs(best.t - t) ? row : best));
  }
  return timeline.chosen;
}

// ---- what a pointer and keys do

function say(row, pixelX = null, pixelY = null) {
  const tip = byId("tip");
  tip.hidden = !row;
  timeline.said = pixelX === null ? row : null;
  if (!row) return;
  const head = [`${milliseconds(row.t)} ms`, nameOf(row.pid), `thread ${threadOf(row)}`];
  if (row.us !== null) head.push(`took ${microseconds(row.us)} µs`);
  tip.replaceChildren(
    make("p", { className: "quiet", textContent: head.join(" · ") }),
    make("p", { className: row.bad ? "failed" : "", textContent: (row.bad ? "✕ " : "") + row.full }),
  );
  const box = timeline.box.getBoundingClientRect();
  const lane = timeline.laneOf.get(row);
  const [atX, atY] = [pixelX ?? x(row.t), pixelY ?? lane.top + lane.height + RULER - timeline.box.scrollTop];
  tip.style.left = `${limited(box.left + atX + 12, 8, innerWidth - tip.offsetWidth - 8)}px`;
  const below = box.top + atY + 18;
  tip.style.top = `${below + tip.offsetHeight > innerHeight ? box.top + atY - tip.offsetHeight - 12 : below}px`;
}

const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => stepLane(1), ArrowUp: () => stepLane(-1),
  Home: () => step(-Infinity), End: () => step(Infinity),
};
const ZOOM_KEYS = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: zoomAll };

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target !== timeline.box) return;
  if (event.key in KEYS) {
    const row = KEYS[event.key]();
    if (row) timeline.onChoose(row);
    say(row);
  } else if (event.key in ZOOM_KEYS) ZOOM_KEYS[event.key]();
  else if (event.key === "Enter" && timeline.chosen) timeline.onEnter(timeline.chosen);
  else if (event.key === "Escape") say(null);
  else return;
  event.preventDefault();
}

const pointers = new Map();
let moved = 0;

function place(event) {
  const box = timeline.box.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function onDown(event) {
  pointers.set(event.pointerId, place(event));
  moved = 0;
}

function onMove(event) {
  const now = place(event);
  const before = pointers.get(event.pointerId);
  if (!before) return hover(now);
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const ratio = Math.max(Math.abs(before.x - other.x), 20) / Math.max(Math.abs(now.x - other.x), 20);
    zoom(ratio, (now.x + other.x) / 2);
  } else pan(before.x - now.x);
  moved += Math.abs(now.x - before.x);
  if (moved > 4) timeline.tracks.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, now);
  return undefined;
}

function hover(at) {
  const row = markAt(at.x, at.y);
  if (row !== timeline.hovered) requestDraw();
  timeline.hovered = row;
  timeline.tracks.style.cursor = row ? "pointer" : "";
  say(row, at.x, at.y);
}

function onUp(event) {
  const was = pointers.delete(event.pointerId);
  if (!was || moved > 4 || event.type !== "pointerup") return;
  const at = place(event);
  const row = markAt(at.x, at.y);
  if (row) timeline.onEnter(row);
}

function onWheel(event) {
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(limited(event.deltaY, -60, 60) / 120), place(event).x);
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX || event.deltaY);
  else return;
  event.preventDefault();
}

function startTimeline() {
  const apart = new Set(rows.map((row) => `${row.pid} ${row.tid}`)).size;
  byId("threads").checked = apart <= MOST_LANES;
  makeLanes();
  makeAxis();
  const { box, tracks } = timeline;
  addEventListener("scroll", () => say(timeline.said));
  box.addEventListener("keydown", onKey);
  box.addEventListener("blur", () => say(null));
  box.addEventListener("scroll", requestDraw);
  box.addEventListener("wheel", onWheel, { passive: false });
  tracks.addEventListener("pointerdown", onDown);
  tracks.addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel"]) tracks.addEventListener(name, onUp);
  tracks.addEventListener("pointerleave", () => hover({ x: -100, y: -100 }));
  tracks.addEventListener("dblclick", (event) => zoom(0.3, place(event).x));
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-all").addEventListener("click", zoomAll);
  byId("threads").addEventListener("change", () => { makeLanes(); arrange(); });
  byId("shorten").addEventListener("change", () => { makeAxis(); zoomAll(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", requestDraw);
  new ResizeObserver(arrange).observe(box);
  arrange();
}
