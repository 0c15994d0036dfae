// SPDX-License-Identifier: BSD-2-Clause
// The console opens, shows the cluster, and follows what happens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, assertAccessible, CONSOLE, look, openConsole } from "./console.js";

test("a wrong password is refused without a dialog of the browser", async (context) => {
  const page = await openConsole(context);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("User").fill("nobody");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("User name or password is wrong.").waitFor();
  await assertAccessible(page);
});

test("the overview shows nodes, capacity and health", async (context) => {
  const page = await openConsole(context);
  for (const number of [1, 2, 3]) await page.getByRole("article", { name: `Node node${number}` }).waitFor();
  await page.getByText("No problems found").waitFor();
  await page.getByRole("img", { name: /Memory: .* used/ }).first().waitFor();
  await look(page, "overview");
});

test("a job appears by itself, and an instance that it stops", async (context) => {
  const page = await openConsole(context);
  await page.getByText(/^1 of \d+$/).or(page.getByText(/^\d+ of \d+$/)).first().waitFor();
  await page.getByRole("link", { name: "Instances", exact: true }).click();
  const row = page.getByRole("row", { name: /first\.trial/ });
  await row.getByText("running", { exact: true }).waitFor();
  const job = await ask(page, "PUT", "/2/instances/first.trial/shutdown");
  await row.getByText("stopped", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Overview", exact: true }).click();
  await page.getByRole("link", { name: String(job), exact: true }).waitFor();
  await ask(page, "PUT", "/2/instances/first.trial/startup");
  await page.getByRole("link", { name: "Instances", exact: true }).click();
  await row.getByText("running", { exact: true }).waitFor();
});

test("every page has an address, and asks for the login first", async (context) => {
  const page = await openConsole(context, "instances/first.trial");
  await page.getByRole("heading", { name: "first.trial" }).waitFor();
  assert.equal(page.url(), `${CONSOLE}instances/first.trial`);
  await page.goBack();
});

test("pages are reached by keys", async (context) => {
  const page = await openConsole(context);
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Filter");
});

test("colors can be chosen, and stay chosen", async (context) => {
  const page = await openConsole(context);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByLabel("Colors").selectOption("dark");
  const dark = await ground();
  await page.getByLabel("Colors").selectOption("light");
  assert.notEqual(await ground(), dark);
  await page.getByLabel("Colors").selectOption("dark");
  await page.reload();
  assert.equal(await ground(), dark);
});
