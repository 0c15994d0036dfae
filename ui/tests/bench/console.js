// SPDX-License-Identifier: BSD-2-Clause
// Measures the console in a browser, for tests/bench/bench_console.py: `console.js weight`, `lists N` and
// `events SECONDS` print one JSON object. `events` prints "ready" before, when it follows the stream.
import { chromium } from "playwright-core";

const RUNS = 5;
const [what, argument] = process.argv.slice(2);
const { CONSOLE_URL = "", RAPI_USER = "", RAPI_PASSWORD = "", CHROMIUM = "", CERTIFICATE = "" } = process.env;

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("playwright-core").BrowserContext} Profile */

/** @param {number[]} values @param {number} share */
const percentile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

/** @param {number[]} values */
const median = (values) => percentile(values, 0.5);

/** @param {() => Promise<unknown>} work @returns {Promise<number>} milliseconds */
async function timed(work) {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** @param {Page} page */
async function logIn(page) {
  await page.goto(CONSOLE_URL);
  await page.getByLabel("User").fill(RAPI_USER);
  await page.getByLabel("Password").fill(RAPI_PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Live", { exact: true }).waitFor();
}

/**
 * Load the page that everybody sees first.
 *
 * @param {Profile} profile
 */
async function load(profile) {
  const page = await profile.newPage();
  const network = await profile.newCDPSession(page);
  const sum = { bytes: 0, requests: 0 };
  network.on("Network.loadingFinished", ({ encodedDataLength }) => {
    sum.bytes += encodedDataLength;
    sum.requests += 1;
  });
  await network.send("Network.enable");
  const milliseconds = await timed(async () => {
    await page.goto(CONSOLE_URL);
    await page.getByLabel("User").waitFor();
  });
  await page.waitForLoadState("networkidle");
  await page.close();
  return { ...sum, milliseconds };
}

/** @param {import("playwright-core").Browser} browser */
async function weight(browser) {
  const profile = await browser.newContext();
  return { first: await load(profile), again: await load(profile) };
}

/**
 * How long it takes until lists can be used, from the address to rows and the filter.
 *
 * @param {Page} page
 * @param {number} instances
 */
async function lists(page, instances) {
  /** @type {Record<string, number[]>} */
  const found = { rows: [], filter: [], sort: [], overview: [] };
  for (let run = 0; run < RUNS; run += 1) {
    const rows = await timed(async () => {
      await page.goto(`${CONSOLE_URL}instances`);
      await page.getByText(`${instances} of ${instances}`).waitFor();
      await page.locator(".rows .row").first().waitFor();
    });
    const filter = page.getByRole("combobox", { name: "Filter" });
    const filtered = await timed(async () => {
      await filter.fill('name == "web7"');
      await page.getByText(`1 of ${instances}`).waitFor();
    });
    await filter.fill("");
    await page.keyboard.press("Escape"); // what the field offers lies over the rows
    await page.getByText(`${instances} of ${instances}`).waitFor();
    const first = await page.locator(".rows .row").first().innerText();
    const sorted = await timed(async () => {
      const head = page.getByRole("columnheader", { name: "Instance" }).getByRole("button");
      // The first press may ask for the order that is there.
      while ((await page.locator(".rows .row").first().innerText()) === first) await head.click();
    });
    const overview = await timed(async () => {
      await page.goto(CONSOLE_URL);
      await page.getByText(`of ${instances}`, { exact: false }).first().waitFor();
    });
    for (const [name, value] of Object.entries({ rows, filter: filtered, sort: sorted, overview })) found[name]?.push(value);
  }
  return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, median(values)]));
}

/**
 * How old events are when a script of the page has them.
 *
 * @param {Page} page
 * @param {number} seconds
 */
async function events(page, seconds) {
  const reading = page.evaluate(async (milliseconds) => {
    const abort = new AbortController();
    const response = await fetch("/2/events", { signal: abort.signal });
    /** @type {number[]} */
    const delays = [];
    if (!response.body) throw new Error("there is no stream");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    document.title = "reading";
    setTimeout(() => abort.abort(), milliseconds);
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const now = Date.now();
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (!line.startsWith("data: {")) continue;
          const event = JSON.parse(line.slice(6));
          if ("id" in event) delays.push(now - event.at * 1000);
        }
      }
    } catch {
      // The time is over.
    }
    return delays;
  }, seconds * 1000);
  await page.waitForFunction(() => document.title === "reading");
  console.log("ready");
  const delays = await reading;
  return { events: delays.length, p50: percentile(delays, 0.5), p99: percentile(delays, 0.99) };
}

// Chromium caches nothing of a server whose certificate it does not trust.
const trust = `--ignore-certificate-errors-spki-list=${CERTIFICATE}`;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", trust] });
try {
  /** @type {object} */
  let found;
  if (what === "weight") {
    found = await weight(browser);
  } else {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(120000);
    await logIn(page);
    found = what === "lists" ? await lists(page, Number(argument)) : await events(page, Number(argument));
  }
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
