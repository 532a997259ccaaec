"use strict";
// Puts the page together, draws what is in sight, and turns it light or dark.

const CHARTS = {
  cost: () => tradeOff("cost"),
  time: () => tradeOff("time"),
  shares: sharesChart,
  confusion: confusionChart,
  reliability: reliabilityChart,
  classes: classesChart,
};
// Charts out of sight wait until they are scrolled to: the page opens, and the sliders move, without delay.
const stale = new Set();
const inSight = new Set();
let made = {}; // chart -> what brings it up to date
let frame;

function redraw(ids) {
  ids.forEach((id) => stale.add(id));
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => drawStale(inSight));
}

function drawStale(ids) {
  for (const id of [...stale].filter((each) => ids.has(each))) {
    stale.delete(id);
    made[id] ??= CHARTS[id]();
    made[id]();
  }
}

let begun; // called when every chart in sight is begun
const charts = new Promise((resolve) => (begun = resolve));
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) inSight[isIntersecting ? "add" : "delete"](target.id);
    drawStale(inSight);
    begun();
  },
  { rootMargin: "300px" },
);

const system = window.matchMedia("(prefers-color-scheme: dark)");
const theme = document.getElementById("theme");

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  theme.setAttribute("aria-pressed", String(dark));
  made = {};
  redraw(Object.keys(CHARTS));
}

theme.addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
system.addEventListener("change", () => setTheme(system.matches));
window.addEventListener("beforeprint", () => drawStale(new Set(Object.keys(CHARTS))));

for (const wide of document.querySelectorAll(".wide")) wide.tabIndex = 0; // arrow keys scroll it
document.getElementById("facts").open = window.innerWidth >= 700;
makeControls();
makeGallery();
fillReliability();
fillClasses();
setTheme(system.matches);
const start = report.points.balanced ?? Object.values(report.points)[0];
setThresholds(start ? start.thresholds : state.thresholds);
for (const id of Object.keys(CHARTS)) watcher.observe(document.getElementById(id));

charts.then(async () => {
  await Promise.all(opening.values());
  document.documentElement.dataset.ready = String(performance.now()); // ms since the page was asked for
});
