// SPDX-License-Identifier: BSD-2-Clause
/** What a node or an instance has used over the last hours, or longer. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { ApiError, get } from "../api.js";
import { rate, size } from "../format.js";
import { html } from "../html.js";
import { dark } from "../theme.js";
import { latest, withoutStart } from "../usage.js";
import { during, Range, rangeName } from "./range.js";

/** @typedef {import("../usage.js").Usage} Usage */
/** @typedef {{ name: string, label: string, color: string }} Line */
/** @typedef {{ title: string, lines: Line[], format: (value: number) => string }} Plot */

const HEIGHT = 130;

/** @type {Plot[]} */
const PLOTS = [
  {
    title: "CPUs in use",
    lines: [{ name: "cpu", label: "CPUs", color: "#3d7fd6" }],
    format: (value) => value.toFixed(value < 10 ? 2 : 0),
  },
  { title: "Memory", lines: [{ name: "memory", label: "Memory", color: "#3d7fd6" }], format: size },
  {
    title: "Disk",
    lines: [
      { name: "disk_read", label: "Read", color: "#3d7fd6" },
      { name: "disk_written", label: "Written", color: "#d9534a" },
    ],
    format: rate,
  },
  {
    title: "Network",
    lines: [
      { name: "received", label: "Received", color: "#3d7fd6" },
      { name: "sent", label: "Sent", color: "#d9534a" },
    ],
    format: rate,
  },
];

/**
 * Values change all the time and make no events, so they are read again with each step.
 *
 * @param {{ path: string }} properties
 */
export function UsagePlots({ path }) {
  const [usage, setUsage] = useState(/** @type {Usage | null} */ (null));
  const [problem, setProblem] = useState("");
  const [hours, setHours] = useState(0);
  useEffect(() => {
    setUsage(null);
    setProblem("");
    const abort = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    async function read() {
      let delay = 15;
      try {
        if (document.visibilityState === "visible") {
          const found = await get(during(path, hours), abort.signal);
          delay = found.step;
          setUsage(withoutStart(found));
          setProblem("");
        }
      } catch (error) {
        if (abort.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        setProblem(error.message);
      }
      if (!abort.signal.aborted) timer = setTimeout(read, delay * 1000);
    }
    read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, hours]);
  return html`
    <section aria-labelledby="usage-title">
      <div class="heading">
        <h2 id="usage-title">Usage in the ${rangeName(hours)}</h2>
        <${Range} hours=${hours} onChange=${setHours} />
      </div>
      ${problem ? html`<p class="muted" role="status">${problem}</p>` : null}
      ${usage
        ? html`<div class="usage">
            ${PLOTS.map((plot) => html`<${UsagePlot} key=${plot.title + hours} plot=${plot} usage=${usage} />`)}
          </div>`
        : problem
          ? null
          : html`<p class="muted">Loading …</p>`}
    </section>
  `;
}

/**
 * Whether a line would not be seen, because it has hardly any values yet.
 *
 * @param {uPlot} plot
 * @param {number} index
 */
const hasFewValues = (plot, index) => (plot.data[index] ?? []).filter((each) => typeof each === "number").length < 3;

/** @param {{ plot: Plot, usage: Usage }} properties */
function UsagePlot({ plot, usage }) {
  const { title, lines, format } = plot;
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const shown = useRef(/** @type {uPlot | null} */ (null));
  const columns = lines.map(({ name }) => usage.series[name] ?? []);
  const length = columns[0]?.length ?? 0;
  const times = Array.from({ length }, (_, index) => usage.end - (length - 1 - index) * usage.step);
  const data = /** @type {uPlot.AlignedData} */ ([times, ...columns]);
  const facts = lines.map(({ label }, index) => {
    const value = latest(columns[index] ?? []);
    return `${label} ${value === null ? "unknown" : format(value)}`;
  });

  useEffect(() => {
    const target = element.current;
    if (!target) return undefined;
    const axis = { stroke: getComputedStyle(target).color, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" } };
    const made = new uPlot(
      {
        width: target.clientWidth,
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: false },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [axis, { ...axis, size: 65, values: (_, values) => values.map(format) }],
        series: [{}, ...lines.map(({ label, color }) => ({ label, stroke: color, width: 1.5, points: { show: hasFewValues, size: 4 } }))],
      },
      data,
      target,
    );
    shown.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [dark.value]);
  useEffect(() => shown.current?.setData(data), [usage]);
  return html`
    <figure class="plot">
      <figcaption>
        <strong>${title}</strong>
        ${lines.map(({ label, color }, index) => html`<span key=${label} class="key" style=${{ borderColor: color }}>${facts[index]}</span>`)}
      </figcaption>
      <div ref=${element} role="img" aria-label=${`${title}: ${facts.join(", ")}`} />
    </figure>
  `;
}
