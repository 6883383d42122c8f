// The table: all rows that the filters let through. Only those that are seen are in the document.

const ROW = 25; // pixels; page.css says so, too
const SPARE = 12; // rows above and below what is seen
const PRINTED = 300; // rows on paper

const COLUMNS = [
  { name: "Time, ms", key: (row) => row.t, show: (row) => milliseconds(row.t), className: "number" },
  { name: "Process", show: (row) => `${nameOf(row.pid)} ${row.pid}` },
  { name: "Thread", show: threadOf, className: "thread" },
  { name: "Library", show: (row) => (row.library === SYSTEM ? "" : row.library.toUpperCase()), className: "library" },
  { name: "Function or event", show: (row) => row.name, className: "name" },
  { name: "Result", show: (row) => (row.bad ? `✕ ${row.result}` : row.result), className: "result" },
  { name: "Took, µs", key: (row) => row.us ?? -1, show: (row) => microseconds(row.us), className: "number" },
  { name: "Text", show: (row) => row.text, className: "text" },
];

const table = { box: byId("table"), shown: rows, chosen: null, column: COLUMNS[0], descending: false, onChoose: () => {} };

// ---- which rows

function choices(select, all, pairs) {
  select.replaceChildren(make("option", { value: "", textContent: all }),
    ...pairs.map(([value, text]) => make("option", { value, textContent: text })));
}

function counted(key) {
  const counts = new Map();
  for (const row of rows) counts.set(key(row), (counts.get(key(row)) ?? 0) + 1);
  return counts;
}

function makeChoices() {
  const perProcess = counted((row) => row.pid);
  choices(byId("by-process"), "all", report.depths.map(([pid, depth]) =>
    [pid, `${"\u2003".repeat(Math.min(depth, 6))}${nameOf(pid)} ${pid} (${perProcess.get(pid) ?? 0})`]));
  const named = (counts, text) => [...counts].sort().map(([value, count]) => [value, `${text(value)} (${count})`]);
  const library = (name) => (name === SYSTEM ? "none: events" : name.toUpperCase());
  choices(byId("by-library"), "all", named(counted((row) => row.library), library));
  choices(byId("by-kind"), "all", named(counted((row) => row.kind), (kind) => kind));
}

function searched(row) {
  row.searched ??= [row.text, row.name, row.result, row.library, row.pid, row.tid, nameOf(row.pid), row.fault ?? ""].join("\n").toLowerCase();
  return row.searched;
}

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [pid, library, kind] = ["by-process", "by-library", "by-kind"].map((id) => byId(id).value);
  const bad = byId("only-bad").checked;
  const found = rows.filter((row) =>
    (!pid || String(row.pid) === pid) && (!library || row.library === library) && (!kind || row.kind === kind)
    && (!bad || row.bad) && words.every((word) => searched(row).includes(word)));
  table.all = found.length === rows.length;
  table.shown = sorted(found);
  timeline.dimmed = table.all ? null : new Set(found);
  timeline.hovered = null;
  say(null);
  requestDraw();
  const left = report.left_out ? `; ${report.left_out.toLocaleString("en")} more calls of these kinds are left out` : "";
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}${left}`;
  byId("none").hidden = found.length > 0;
  table.box.hidden = found.length === 0;
  table.box.scrollTop = 0;
  render();
}

function sorted(found) {
  const { column, descending } = table;
  const ordered = column === COLUMNS[0] ? found : [...found].sort((a, b) => column.key(a) - column.key(b) || a.number - b.number);
  return descending ? [...ordered].reverse() : ordered;
}

function sortBy(column) {
  table.descending = table.column === column ? !table.descending : column !== COLUMNS[0];
  table.column = column;
  makeColumns();
  filter();
}

// ---- the document

function makeColumns() {
  byId("columns").replaceChildren(...COLUMNS.map((column) => {
    const cell = make("th", { scope: "col", className: column.className ?? "" });
    if (!column.key) return cell.append(column.name), cell;
    const on = table.column === column;
    const arrow = on ? (table.descending ? " ▼" : " ▲") : "";
    cell.setAttribute("aria-sort", on ? (table.descending ? "descending" : "ascending") : "none");
    cell.append(make("button", { type: "button", textContent: column.name + arrow, onclick: () => sortBy(column) }));
    return cell;
  }));
}

function element(row, at) {
  const chosen = row === table.chosen;
  const cells = COLUMNS.map((column) => make("td", { className: column.className ?? "", textContent: column.show(row) }));
  const line = make("tr", { tabIndex: -1, className: [row.bad ? "failed" : "", row.library].join(" "), "aria-rowindex": at + 2, "aria-selected": chosen }, ...cells);
  line.addEventListener("click", () => pick(row, true));
  return line;
}

function render(from = null, to = null) {
  const { box, shown } = table;
  const first = from ?? Math.max(Math.floor(box.scrollTop / ROW) - SPARE, 0);
  const last = to ?? Math.min(first + Math.ceil(box.clientHeight / ROW) + 2 * SPARE, shown.length);
  byId("before").hidden = first === 0;
  byId("before").rows[0].cells[0].style.height = `${first * ROW}px`;
  byId("after").hidden = last >= shown.length;
  byId("after").rows[0].cells[0].style.height = `${(shown.length - last) * ROW}px`;
  const focused = byId("rows").contains(document.activeElement);
  byId("rows").replaceChildren(...shown.slice(first, last).map((row, at) => element(row, first + at)));
  if (focused) focusChosen();
  box.firstElementChild.setAttribute("aria-rowcount", shown.length + 1);
}

function detail(row) {
  const box = byId("detail");
  box.hidden = !row;
  if (!row) return;
  const command = argvOf(row.pid).join(" ");
  const facts = [
    [row.kind === "call" ? "Call" : "Event", row.full],
    ["Time", `${milliseconds(row.t)} ms${row.us === null ? "" : `, took ${microseconds(row.us)} µs`}`],
    ["Process", `${row.pid}, thread ${threadOf(row)}: ${command}`],
  ];
  if (row.fault) facts.push(["Fault", `${row.fault} (the scenario's) made it so`]);
  box.className = row.bad ? "failed" : "";
  box.replaceChildren(make("dl", {}, ...facts.flatMap(([name, text]) =>
    [make("dt", { textContent: name }), make("dd", { textContent: text })])));
}

// ---- choosing

// The chosen row's element is made anew with each scrolling; where it is out of sight, the table has
// the focus, so that the keys go on.
function focusChosen() {
  const chosen = byId("rows").querySelector("[aria-selected=true]");
  (chosen ?? table.box).focus({ preventScroll: true });
}

function pick(row, focus = false) {
  table.chosen = row;
  const at = table.shown.indexOf(row);
  if (at >= 0) {
    const head = byId("columns").offsetHeight;
    const { scrollTop, clientHeight } = table.box;
    if (at * ROW < scrollTop) table.box.scrollTop = at * ROW;
    else if ((at + 1) * ROW > scrollTop + clientHeight - head) table.box.scrollTop = (at + 1) * ROW - clientHeight + head;
  }
  render();
  detail(row);
  if (focus) focusChosen();
  table.onChoose(row);
}

const JUMPS = {
  ArrowDown: () => 1, ArrowUp: () => -1, Home: () => -Infinity, End: () => Infinity,
  PageDown: () => Math.floor(table.box.clientHeight / ROW) - 2, PageUp: () => 2 - Math.floor(table.box.clientHeight / ROW),
};

function onTableKey(event) {
  if (!(event.key in JUMPS) || event.target.tagName === "BUTTON" || !table.shown.length) return;
  const at = table.shown.indexOf(table.chosen) + JUMPS[event.key]();
  pick(table.shown[limited(at, 0, table.shown.length - 1)], true);
  event.preventDefault();
}

function startTable() {
  makeChoices();
  makeColumns();
  const form = document.querySelector(".filters");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  table.box.addEventListener("scroll", () => requestAnimationFrame(() => render()));
  table.box.addEventListener("keydown", onTableKey);
  new ResizeObserver(() => render()).observe(table.box);
  filter();
}
