// Shows the events of a running job, and its report when it ends.

const byId = (id) => document.getElementById(id);
/** Widest range of a plot, as a factor around the last value. */
const RANGE_MAX = 1.5;
const RANGE_MIN = 1.02;

let job;
const history = [];

const source = new EventSource("/events");
source.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.subjects.length > 0 && typeof event.subjects[0] === "string") begin(event);
  else {
    history.push(event);
    // Events of the past arrive together; only the last of them is drawn.
    requestDrawing();
  }
};
source.onerror = () => (byId("doing").textContent = "pushbench does not answer; it has ended, or is busy measuring.");
source.addEventListener("end", () => {
  source.close();
  location.replace("/report");
});

function begin(event) {
  // The job sends its description first, also when a browser reconnects.
  if (job) return;
  job = event;
  document.title = `${job.title} – pushbench`;
  byId("title").textContent = `pushbench · ${job.title}`;
  byId("question").textContent = job.question;
  byId("metric").replaceChildren(...job.metrics.map(({ name, label }) => element("option", { value: name, textContent: label })));
  byId("metric").onchange = draw;
}

let isRequested = false;

function requestDrawing() {
  if (isRequested) return;
  isRequested = true;
  requestAnimationFrame(() => {
    isRequested = false;
    draw();
  });
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const time = (s) => (s < 60 ? `${Math.round(s)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);
const percent = (share, digits = 0) => (share === null ? "–" : `${(100 * share).toFixed(digits)} %`);
const number = (value) => (value === null ? "–" : value.toPrecision(3));

function draw() {
  const now = history.at(-1);
  if (!job || !now) return;
  byId("progress").value = now.elapsed_s / (now.elapsed_s + now.left_s);
  byId("doing").textContent = `${now.doing}; ${time(now.left_s)} left`;
  byId("help").textContent = job.metrics.find(({ name }) => name === byId("metric").value).help;
  byId("rows").replaceChildren(...now.subjects.map((subject, index) => row(job.subjects[index], subject)));
  const plots = job.subjects.map((name, index) => plot(name, index, byId("metric").value));
  byId("plots").replaceChildren(...plots.filter(Boolean));
}

function row(name, subject) {
  const lost = Object.entries(subject.dropped).map(([reason, count]) => `${count} × ${reason}`);
  const runs = Object.entries(subject.verdicts).filter(([kind]) => kind !== "valid").map(([kind, count]) => `${count} ${count === 1 ? "run" : "runs"} ${kind}`);
  const cells = [
    number(subject.delivery_p50_ms),
    number(subject.delivery_p99_ms),
    subject.scheduled > 0 ? percent(subject.delivered / subject.scheduled, 1) : "–",
    percent(subject.server_core),
    percent(subject.generator_core),
    subject.kept.toLocaleString("en"),
    [...lost, ...runs].join("; "),
  ];
  return element("tr", {}, element("th", { scope: "row", textContent: name }), ...cells.map((textContent) => element("td", { textContent })));
}

/** The ratio of a subject over the blocks: its interval as a band, its value as a line. */
function plot(name, index, metric) {
  const points = history.map(({ blocks, subjects }) => ({ blocks, ratio: subjects[index].ratios[metric] })).filter(({ ratio }) => ratio);
  if (points.length === 0) return undefined;
  const { value, interval } = points.at(-1).ratio;
  const text = interval ? `${value.toFixed(3)} [${interval[0].toFixed(3)}–${interval[1].toFixed(3)}]` : value.toFixed(3);
  const widest = Math.max(...points.flatMap(({ ratio }) => [ratio.value, ...(ratio.interval ?? [])]).map((one) => Math.abs(Math.log(one / value))));
  const range = Math.min(Math.max(widest, Math.log(RANGE_MIN)), Math.log(RANGE_MAX));
  const [first, last] = [points[0].blocks, Math.max(points.at(-1).blocks, points[0].blocks + 1)];
  const x = ({ blocks }) => (100 * (blocks - first)) / (last - first);
  const y = (one) => 50 - 48 * Math.max(-1, Math.min(1, Math.log(one / value) / range));
  const at = (point, one) => `${x(point).toFixed(2)},${y(one).toFixed(2)}`;
  const svg = shape("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${text}` });
  const banded = points.filter(({ ratio }) => ratio.interval);
  if (banded.length > 1) {
    const lows = banded.map((point) => at(point, point.ratio.interval[0]));
    const highs = banded.map((point) => at(point, point.ratio.interval[1]));
    svg.append(shape("polygon", { class: "band", points: [...lows, ...highs.toReversed()].join(" ") }));
  }
  if (Math.abs(Math.log(value)) < range) svg.append(shape("line", { class: "one", x1: 0, x2: 100, y1: y(1), y2: y(1) }));
  svg.append(shape("polyline", { class: "value", points: points.map((point) => at(point, point.ratio.value)).join(" ") }));
  const scale = `±${(100 * (Math.exp(range) - 1)).toFixed(0)} %`;
  return element("figure", {}, element("figcaption", {}, element("b", { textContent: name }), element("span", { textContent: text })), svg, element("p", { className: "note", textContent: `height of the plot: ${scale} around the value` }));
}
