// SPDX-License-Identifier: BSD-2-Clause
// Lists are filtered, sorted and selected, also with 20,000 rows and names that mean harm.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONSOLE, look, openConsole } from "./console.js";

const MANY = 20000;
const FRAMES = 60;

/**
 * Answer queries for instances with other names.
 *
 * @param {import("playwright-core").Page} page
 * @param {string[]} names
 */
async function pretend(page, names) {
  await page.route("**/2/query/instance", async (route) => {
    const { fields } = route.request().postDataJSON();
    /** @type {Record<string, unknown>} */
    const values = { status: "running", pnode: "node1.trial", snodes: [], "be/maxmem": 128, "be/vcpus": 1, tags: [] };
    const data = names.map((name) =>
      fields.map((/** @type {string} */ field) => [0, field === "name" ? name : (values[field] ?? null)]),
    );
    await route.fulfill({ json: { fields: [], data } });
  });
}

test("every list has its page", async (context) => {
  const page = await openConsole(context);
  for (const [name, title] of [
    ["instances", "Instances"],
    ["nodes", "Nodes"],
    ["groups", "Groups"],
    ["networks", "Networks"],
    ["os", "OS definitions"],
    ["exports", "Exports"],
    ["jobs", "Jobs"],
  ]) {
    await page.getByRole("navigation").getByRole("link", { name: String(title) }).click();
    await page.getByRole("heading", { name: String(title) }).waitFor();
    await page.getByText(/^\d+ of \d+$/).waitFor();
    await look(page, String(name));
  }
});

test("a filter is completed, selects rows, and is part of the address", async (context) => {
  const page = await openConsole(context, "nodes");
  await page.getByText("3 of 3").waitFor();
  const filter = page.getByRole("combobox", { name: "Filter" });
  await filter.pressSequentially("rol");
  await page.getByRole("option", { name: "role" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await filter.pressSequentially('== "M');
  await page.getByRole("option", { name: '"M"' }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await page.getByText("1 of 3").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("filter")?.trim(), 'role == "M"');
});

test("a wrong filter is explained, and hides nothing", async (context) => {
  const page = await openConsole(context, `nodes?filter=${encodeURIComponent("role ==")}`);
  await page.getByText(/The filter is wrong at column 8/).waitFor();
  await page.getByText("3 of 3").waitFor();
});

test("a filter for a field that is not shown is answered, too", async (context) => {
  const page = await openConsole(context, `nodes?filter=${encodeURIComponent('sip == "1.2.3.4"')}`);
  await page.getByText("0 of 3").waitFor();
});

test("columns are chosen and sorted by, and are part of the address", async (context) => {
  const page = await openConsole(context, "nodes");
  await page.getByText("Columns", { exact: true }).click();
  await page.getByLabel(/UUID uuid/).check();
  await page.getByRole("columnheader", { name: "UUID" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("columnheader", { name: "Node" }).getByRole("button").click();
  const first = page.locator(".rows .row").first();
  await first.getByText("node3.trial").waitFor();
  const parameters = new URL(page.url()).searchParams;
  assert.match(parameters.get("columns") ?? "", /uuid/);
  assert.equal(parameters.get("sort"), "-name");
});

test("rows are selected and opened by keys", async (context) => {
  const page = await openConsole(context, "nodes");
  const grid = page.getByRole("grid", { name: "Nodes" });
  await page.getByText("3 of 3").waitFor();
  await grid.focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  await page.getByText("2 selected").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "node2.trial" }).waitFor();
});

test("20,000 instances stay fluid", async (context) => {
  const names = Array.from({ length: MANY }, (_, index) => `guest${index}.example.com`);
  const page = await openConsole(context, "instances", (opened) => pretend(opened, names));
  const begun = Date.now();
  await page.getByText(`${MANY} of ${MANY}`).waitFor();
  const grid = page.getByRole("grid", { name: "Instances" });
  context.diagnostic(`list shown after ${Date.now() - begun} ms`);
  const frames = await grid.evaluate(async (element, count) => {
    const times = [];
    let before = performance.now();
    for (let index = 0; index < count; index += 1) {
      element.scrollTop = (index / count) * element.scrollHeight;
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - before);
      before = now;
    }
    return times.sort((a, b) => a - b);
  }, FRAMES);
  context.diagnostic(`frames: median ${frames[FRAMES / 2]?.toFixed(1)} ms, slowest ${frames.at(-1)?.toFixed(1)} ms`);
  const drawn = await page.locator(".rows .row").count();
  assert.ok(drawn < 100, `${drawn} rows are drawn`);
});

test("names that mean harm are shown and do nothing", async (context) => {
  const harmful = ['<img src=x onerror="document.title=1">', "\u202Eevil\u202C", "x".repeat(300), "javascript:alert(1)"];
  const page = await openConsole(context, "instances", (opened) => pretend(opened, harmful));
  await page.getByText(String(harmful[0]), { exact: true }).waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  await page.getByRole("link", { name: String(harmful[0]), exact: true }).click();
  await page.getByRole("heading", { name: String(harmful[0]) }).waitFor();
  assert.equal(new URL(page.url()).origin, new URL(CONSOLE).origin);
  assert.match(await page.title(), /onerror/);
});
