// SPDX-License-Identifier: BSD-2-Clause
/** How many jobs have ended in the last hours, how long they took, and how long they waited. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { ApiError, get } from "../api.js";
import { duration } from "../format.js";
import { html } from "../html.js";
import { countEnded, jobRates } from "../job_rates.js";
import { rights } from "../session.js";
import { dark } from "../theme.js";
import { during, Range, rangeName } from "./range.js";

/** @typedef {import("../usage.js").Usage} Usage */

const HEIGHT = 160;

/** Milliseconds between two readings, however many jobs end meanwhile. */
const PAUSE = 2000;

/**
 * Job rates as the master counts them, which are read again when jobs have ended, and with each step;
 * or those of more hours.
 *
 * @param {number} ended changes when a job ends
 * @param {number} hours
 */
function useRates(ended, hours) {
  const [rates, setRates] = useState(/** @type {Usage | null} */ (null));
  const [problem, setProblem] = useState("");
  const [step, setStep] = useState(0);
  const readAt = useRef(-Infinity);
  const left = useRef(new AbortController());
  useEffect(() => {
    left.current = new AbortController();
    readAt.current = -Infinity;
    setRates(null);
    setProblem("");
    return () => left.current.abort();
  }, [hours]);
  // A single job is not to be seen among those of days.
  const changed = hours ? 0 : ended;
  useEffect(() => {
    const { signal } = left.current;
    async function read() {
      readAt.current = performance.now();
      try {
        setRates(await get(during("/2/job-rates", hours), signal));
        setProblem("");
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        setProblem(error.message);
      }
    }
    // What is being read goes on: jobs may end more often than it takes.
    const timer = setTimeout(read, Math.max(0, readAt.current + PAUSE - performance.now()));
    return () => clearTimeout(timer);
  }, [changed, hours, step]);
  const seconds = rates?.step ?? 60;
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && setStep((each) => each + 1), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return { rates, problem };
}

/** @param {{ ended: number }} properties */
export function JobPlot({ ended }) {
  const [hours, setHours] = useState(0);
  const { rates, problem } = useRates(ended, hours);
  if (!rates && !problem && !hours) return null;
  return html`
    <section aria-labelledby="plot-title">
      <div class="heading">
        <h2 id="plot-title">Jobs in the ${rangeName(hours)}${rates ? `: ${countEnded(rates)}` : ""}</h2>
        ${rights.value.limited ? null : html`<${Range} hours=${hours} onChange=${setHours} />`}
      </div>
      ${problem ? html`<p class="muted" role="status">${problem}</p>` : null}
      ${rates ? html`<${Plot} key=${hours} rates=${rates} name=${rangeName(hours)} />` : null}
    </section>
  `;
}

/** @param {{ rates: Usage, name: string }} properties */
function Plot({ rates, name }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const data = /** @type {uPlot.AlignedData} */ (jobRates(rates));
  const total = countEnded(rates);

  useEffect(() => {
    const target = element.current;
    if (!target) return undefined;
    const style = getComputedStyle(document.documentElement);
    /** @param {string} name */
    const color = (name) => style.getPropertyValue(name);
    const text = getComputedStyle(target).color;
    const axis = { stroke: text, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" } };
    const paths = uPlot.paths.bars?.({ size: [0.8] });
    const bars = paths ? { paths } : {};
    const made = new uPlot(
      {
        width: target.clientWidth,
        height: HEIGHT,
        cursor: { show: false },
        legend: { live: false },
        scales: { count: { range: (_, __, max) => [0, Math.max(4, max)] }, time: { range: (_, __, max) => [0, Math.max(1, max)] } },
        axes: [axis, { ...axis, scale: "count", size: 40 }, { ...axis, scale: "time", side: 1, size: 55, grid: { show: false }, values: (_, values) => values.map((value) => `${value} s`) }],
        series: [
          {},
          { label: rates.step === 60 ? "Jobs per minute" : `Jobs per ${duration(rates.step)}`, scale: "count", stroke: "#3d7fd6", fill: "#3d7fd655", width: 1, points: { show: false }, ...bars },
          { label: "of them failed", scale: "count", stroke: color("--bad") || text, width: 1, points: { show: false }, ...bars },
          { label: "Run time, median", scale: "time", stroke: color("--busy") || text, points: { show: true, size: 5 } },
          { label: "95 %", scale: "time", stroke: color("--busy") || text, dash: [4, 4], points: { show: false } },
          { label: "Wait, median", scale: "time", stroke: "#d9534a", points: { show: true, size: 5 } },
          { label: "95 %", scale: "time", stroke: "#d9534a", dash: [4, 4], points: { show: false } },
        ],
      },
      data,
      target,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [dark.value]);

  useEffect(() => plot.current?.setData(data), [rates]);
  return html`<div class="plot" ref=${element} role="img" aria-label=${`${total} jobs have ended in the ${name}`} />`;
}
