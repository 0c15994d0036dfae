// SPDX-License-Identifier: BSD-2-Clause
// Plots of days and months, which the server asks a real Prometheus for.
import { test } from "node:test";
import { CONSOLE, look, openConsole } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

/** @param {Page} page @param {string} title */
const range = (page, title) => page.getByRole("region", { name: title }).getByLabel("Plot the");

test("what a node has used in the last day is plotted", async (context) => {
  const page = await openConsole(context, "nodes/node1.trial");
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
  await range(page, "Usage in the last hours").selectOption("last day");
  await page.getByRole("heading", { name: "Usage in the last day" }).waitFor();
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
  await look(page, "usage-day");
});

test("what an instance has used in the last week is plotted", async (context) => {
  const page = await openConsole(context, "instances/first.trial");
  await range(page, "Usage in the last hours").selectOption("last week");
  await page.getByRole("heading", { name: "Usage in the last week" }).waitFor();
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
});

test("jobs of the last year are plotted", async (context) => {
  const page = await openConsole(context);
  await range(page, "Jobs in the last hours").selectOption("last year");
  await page.getByRole("img", { name: /jobs have ended in the last year/ }).waitFor();
});

test("why there is no plot is told, and another time can be chosen", async (context) => {
  const why = "Prometheus at http://127.0.0.1:9 does not answer: connection refused";
  const page = await openConsole(context, "nodes/node1.trial");
  await page.route(/usage\?hours=/, (route) => route.fulfill({ status: 502, json: { code: 502, message: why, explain: "" } }));
  await range(page, "Usage in the last hours").selectOption("last 30 days");
  await page.getByText(why).waitFor();
  await look(page, "usage-problem");
  await range(page, "Usage in the last 30 days").selectOption("last hours");
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
  await page.getByText(why).waitFor({ state: "detached" });
  await page.goto(CONSOLE);
});
