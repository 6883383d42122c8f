// Time -> place on the axis, from 0 to 1. Where nothing happens for long, in any process, the axis
// is shortened: what a program does comes in bursts with pauses between them.

const LEAST_SHARE = 0.04; // of the axis, that a shortened pause has

class Axis {
  constructor(times, shorten) {
    const sorted = [...new Set(times)].sort((a, b) => a - b);
    this.begin = sorted[0] ?? 0;
    this.end = Math.max(sorted.at(-1) ?? 0, this.begin + 1000);
    this.breaks = [];
    const most = shorten ? longestPause(sorted) : Infinity;
    const knots = [[this.begin, 0]];
    let cut = 0;
    for (let at = 1; at < sorted.length; at++) {
      const [from, to] = [sorted[at - 1], sorted[at]];
      if (to - from <= 1.5 * most) continue;
      knots.push([from, from - this.begin - cut]);
      cut += to - from - most;
      knots.push([to, to - this.begin - cut]);
      this.breaks.push({ from, to });
    }
    knots.push([this.end, this.end - this.begin - cut]);
    const length = knots.at(-1)[1];
    this.times = knots.map(([time]) => time);
    this.places = knots.map(([, place]) => place / length);
  }

  place(time) {
    return interpolated(this.times, this.places, time);
  }

  time(place) {
    return interpolated(this.places, this.times, place);
  }
}

// A piecewise linear function through points, continued beyond the first and the last.
function interpolated(from, to, value) {
  let [low, high] = [0, from.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (from[middle] <= value) low = middle;
    else high = middle;
  }
  const width = from[high] - from[low];
  return width ? to[low] + ((value - from[low]) / width) * (to[high] - to[low]) : to[low];
}

// The length of a pause such that it takes its share of the axis that it leaves; of a few moments
// the share is larger, or all pauses would be alike.
function longestPause(sorted) {
  const pauses = sorted.slice(1).map((time, at) => time - sorted[at]);
  const share = Math.max(LEAST_SHARE, 2 / Math.max(pauses.length, 1));
  const rest = (most) => pauses.reduce((sum, pause) => sum + Math.min(pause, most), 0);
  let [low, high] = [0, Math.max(...[0], ...slices(pauses))];
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (middle < share * rest(middle)) low = middle;
    else high = middle;
  }
  return Math.max(high, 1);
}

// The largest of each thousand: a function takes only so many arguments.
function slices(numbers) {
  const found = [];
  for (let at = 0; at < numbers.length; at += 1000) found.push(Math.max(...numbers.slice(at, at + 1000)));
  return found;
}

// The round number next to a step: 1, 2 or 5 and zeros.
function round(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= step * 0.999);
}
