// The time line and the table show each other's choice.

byId("interactive").hidden = false;

timeline.onChoose = (row) => pick(row);
timeline.onProcess = (pid) => {
  byId("by-process").value = byId("by-process").value === String(pid) ? "" : String(pid);
  filter();
};
timeline.onEnter = (row) => {
  if (!table.shown.includes(row)) {
    document.querySelector(".filters").reset();
    filter();
  }
  say(null);
  table.box.scrollIntoView({ block: "nearest" });
  pick(row, true);
};
table.onChoose = choose;

document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  byId("search").focus();
  event.preventDefault();
});

addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  timeline.box.scrollTop = 0;
  arrangeForPaper();
  render(0, Math.min(table.shown.length, PRINTED));
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  arrange();
  render();
});

startTimeline();
startTable();
