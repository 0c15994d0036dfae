// SPDX-License-Identifier: BSD-2-Clause
// What is shown stays true when daemons are killed and start again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, CONSOLE, logIn, openConsole, quickstart } from "./console.js";

for (const daemon of ["RAPI", "MASTERD"]) {
  test(`the page goes on when ${daemon.toLowerCase()} was killed`, async (context) => {
    const page = await openConsole(context, "jobs");
    await page.getByRole("link", { name: "1", exact: true }).waitFor();
    const before = await quickstart("env");
    process.kill(Number(before[`${daemon}_PID`]), "SIGKILL");
    if (daemon === "RAPI") await page.getByText("Connecting …").waitFor();
    await quickstart("start");
    const tag = `after-${daemon.toLowerCase()}`;
    const job = await ask(page, "PUT", `/2/instances/first.trial/tags?tag=${tag}`);
    await page.getByRole("row", { name: new RegExp(`^${job} .*success`) }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Instances", exact: true }).click();
    await page.getByRole("row", { name: new RegExp(tag) }).waitFor();
    assert.equal(await page.getByRole("heading", { name: "Instances" }).count(), 1);
  });
}

test("a login that is not valid any more leads back to the form", async (context) => {
  const page = await openConsole(context, "nodes");
  await page.getByText("3 of 3").waitFor();
  await page.route("**/2/**", (route) => route.fulfill({ status: 401, json: { message: "no" } }));
  await page.getByRole("link", { name: "OS definitions" }).click();
  await page.getByText("The login is no longer valid.").waitFor();
  await page.getByLabel("Password").waitFor();
});

const HOUR = 3600000;

/**
 * Open a page, have its computer sleep for an hour while ``meanwhile`` happens, and wake it up.
 *
 * @param {import("node:test").TestContext} context
 * @param {(page: import("playwright-core").Page) => Promise<unknown>} meanwhile
 */
async function sleepAnHour(context, meanwhile) {
  const page = await openConsole(context, "instances", (opened) => opened.clock.install());
  await page.getByRole("row", { name: /first\.trial/ }).waitFor();
  await page.context().setOffline(true);
  await meanwhile(page);
  await page.clock.fastForward(HOUR);
  await page.context().setOffline(false);
  return page;
}

test("a browser that has slept for an hour goes on where it was", async (context) => {
  const page = await sleepAnHour(context, (opened) => ask(opened, "PUT", "/2/instances/first.trial/tags?tag=overnight"));
  await page.getByRole("row", { name: /first\.trial.*overnight/ }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
});

test("a browser whose position is no longer kept reads everything again", async (context) => {
  const page = await sleepAnHour(context, async (opened) => {
    await ask(opened, "PUT", "/2/instances/first.trial/tags?tag=long-ago");
    // A position that was never reached is answered as one that is too old.
    await opened.route(/\/2\/events\?since=/, (route) => route.continue({ url: new URL("/2/events?since=999999999", CONSOLE).href }));
  });
  await page.getByRole("row", { name: /first\.trial.*long-ago/ }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
});

test("a browser whose session has ended meanwhile asks for the login", async (context) => {
  const page = await sleepAnHour(context, async (opened) => {
    for (const { id } of await ask(opened, "GET", "/2/access/sessions")) await ask(opened, "DELETE", `/2/access/sessions/${id}`);
  });
  await page.getByText("The login is no longer valid.").waitFor();
  await logIn(page);
  await page.getByRole("row", { name: /first\.trial/ }).waitFor();
});
