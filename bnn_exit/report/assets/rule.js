"use strict";
// The exit rule and the figures that follow from it, on the clips of this page.

const report = JSON.parse(document.getElementById("data").textContent);

function unpacked(Kind, text) {
  return new Kind(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

const clips = {
  truth: unpacked(Uint16Array, report.clips.truth),
  scores: report.clips.scores.map((text) => unpacked(Float32Array, text)), // an array for each exit
  predicted: report.clips.predicted.map((text) => unpacked(Uint16Array, text)),
};
const exits = report.exits.length;
const full = report.exits[exits - 1];
const gate = report.skipped !== null; // a skip gate: its score is that of the last exit, its threshold the last one

// The exit of every clip: the first whose score is below its threshold, both in float32, else the last. `skipped` counts
// the clips that a skip gate sends past the early heads to the last exit.
function exitsAt(thresholds) {
  const limits = thresholds.map(Math.fround);
  let skipped = 0;
  const left = Uint8Array.from(clips.truth, (_, clip) => {
    if (limits.length === exits && clips.scores[exits - 1][clip] < limits[exits - 1]) {
      skipped += 1;
      return exits - 1;
    }
    let exit = 0;
    while (exit < exits - 1 && !(clips.scores[exit][clip] < limits[exit])) exit += 1;
    return exit;
  });
  return Object.assign(left, { skipped });
}

function figuresOf(left) {
  const counts = new Array(exits).fill(0);
  const right = new Array(exits).fill(0);
  left.forEach((exit, clip) => {
    counts[exit] += 1;
    if (clips.predicted[exit][clip] === clips.truth[clip]) right[exit] += 1;
  });
  // null is what was not measured: the front end where it is in the file, and the sum in reports of earlier versions.
  // Clips that skip save work; their time was not measured apart, so that of the last exit stands for it.
  const saved = (name) => (gate && name in report.skipped ? left.skipped * (full[name] - report.skipped[name]) : 0);
  const mean = (name) =>
    full[name] === null
      ? null
      : (report.exits.reduce((sum, exit, index) => sum + counts[index] * exit[name], 0) - saved(name)) / left.length;
  return {
    counts,
    skipped: left.skipped / left.length,
    right,
    shares: counts.map((count) => count / left.length),
    accuracy: right.reduce((sum, count) => sum + count, 0) / left.length,
    ops: mean("ops"),
    binary_macs: mean("binary_macs"),
    float_macs: mean("float_macs"),
    front_end_us: mean("front_end_us"),
    time_us: mean("time_us"),
    whole_us: mean("whole_us"),
  };
}

// Clips of each true class (row) that were taken for each class (column).
function confusionOf(left) {
  const rows = report.labels.map(() => new Array(report.labels.length).fill(0));
  left.forEach((exit, clip) => (rows[clips.truth[clip]][clips.predicted[exit][clip]] += 1));
  return rows;
}

// How strongly so many clips of a class are painted: measured against its size, or that of a mean class if it is smaller,
// so that one clip never looks like many. The square root keeps one among hundreds in sight.
function strengthOf(number, size, mean) {
  return 0.15 + 0.85 * Math.sqrt(number / Math.max(size, mean, 1));
}

// One threshold for all exits, from never leaving early to always leaving at the first exit.
function sweep(steps) {
  const seen = Float32Array.from(clips.scores.slice(0, -1).flatMap((scores) => [...scores])).sort();
  const values = [0];
  for (let step = 0; step < steps && seen.length; step += 1) {
    const value = seen[Math.round((step / (steps - 1)) * (seen.length - 1))];
    if (value > values[values.length - 1]) values.push(value);
  }
  values.push(1000);
  return values.map((threshold) => ({
    threshold,
    ...figuresOf(exitsAt(new Array(exits - 1).fill(threshold))),
  }));
}
