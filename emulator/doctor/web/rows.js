// The report, and what happened as rows: every event and every call, in the order of time.

const report = JSON.parse(document.getElementById("report").textContent);

const SYSTEM = "system";

function rowOfEvent(moment) {
  const { t, pid, tid, kind, text, bad } = moment;
  return { t, us: null, pid, tid, kind, library: SYSTEM, name: kind, result: bad ? "failed" : "", text, full: text, bad, fault: null };
}

function rowOfCall(call) {
  const { t, us, pid, tid, library, text, bad, fault } = call;
  const result = String(call.status ?? call.code ?? "did not return");
  return { t, us, pid, tid, kind: "call", library, name: call.function, result, text: argumentsOf(call, result), full: text, bad, fault };
}

// The text of a call says its function and its result, which have columns of their own.
function argumentsOf(call, result) {
  const end = ` = ${result} <${call.us} us>`;
  const at = call.text.lastIndexOf(end);
  if (at < 0 || !call.text.startsWith(call.function)) return call.text;
  return call.text.slice(call.function.length, at) + call.text.slice(at + end.length);
}

const rows = [...report.timeline.map(rowOfEvent), ...report.calls.map(rowOfCall)].sort((a, b) => a.t - b.t);
rows.forEach((row, number) => { row.number = number; });

const processes = new Map(report.processes.map((process) => [process.pid, process]));

const argvOf = (pid) => processes.get(pid)?.argv ?? [];
const withoutFolder = (path) => path.slice(path.lastIndexOf("/") + 1) || path;
const nameOf = (pid) => withoutFolder(argvOf(pid)[0] ?? "?");

function threadOf(row) {
  return row.tid === row.pid ? "main" : String(row.tid);
}

const endOf = (row) => row.t + (row.us ?? 0) * 1000;

// ---- numbers as text

function milliseconds(t) {
  return (t / 1e6).toFixed(3);
}

function microseconds(us) {
  return us === null ? "" : us.toLocaleString("en");
}

// A time span in nanoseconds, short.
function span(nanoseconds) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (Math.abs(nanoseconds) >= size) return `${Number((nanoseconds / size).toPrecision(3))} ${unit}`;
  }
  return nanoseconds ? `${nanoseconds} ns` : "0";
}

// ---- the document

// An element with properties and children; texts are texts, never HTML.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);
const limited = (value, least, most) => Math.min(Math.max(value, least), most);
