// SPDX-License-Identifier: BSD-2-Clause
// Notifications are added, tested, changed and removed; a secret is shown once.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { ask, carryOut, look, openConsole, openPage, logIn, CONSOLE } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

/**
 * A receiver of events on this host, and what it has accepted.
 *
 * @param {import("node:test").TestContext} context
 */
async function startReceiver(context) {
  /** @type {any[]} */
  const accepted = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    accepted.push(JSON.parse(body));
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/hook`, accepted };
}

/** @param {Page} page @param {string} name @param {string} button */
async function perform(page, name, button) {
  const row = page.getByRole("row", { name: new RegExp(`^${name}`) });
  await row.getByRole("button", { name: button }).click();
  const plan = page.getByRole("dialog");
  await plan.getByRole("button", { name: button, exact: true }).click();
  await plan.getByText("success").first().waitFor();
  await plan.getByRole("button", { name: "Close" }).last().click();
}

test("a notification is added, tested, changed and removed, and its secret is shown once", async (context) => {
  const { url, accepted } = await startReceiver(context);
  const page = await openConsole(context, "notifications");
  await page.getByRole("button", { name: "New notification" }).click();
  const form = page.getByRole("dialog", { name: "New notification" });
  await form.getByLabel("Name", { exact: true }).fill("chat");
  await form.getByLabel("Receiver").fill("ftp://nowhere");
  await form.getByRole("button", { name: "Add notification" }).click();
  await form.getByText(/must begin with https/).waitFor();
  await form.getByLabel("Receiver").fill(url);
  await form.getByLabel("Only events of these kinds").fill("network");
  await form.getByRole("button", { name: "Add notification" }).click();
  const secret = await form.getByLabel("Secret", { exact: true }).inputValue();
  assert.match(secret, /^whsec_/);
  await look(page, "notification-secret");
  await form.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("row", { name: /^chat/ });
  await row.getByText("kind: network").waitFor();
  assert.ok(!(await page.content()).includes(secret));

  await row.getByRole("button", { name: "Test" }).click();
  await page.getByText("has accepted a test event").waitFor();
  assert.equal(accepted.at(-1).kind, "test");
  await look(page, "notifications");

  await row.getByRole("button", { name: "Change" }).click();
  const change = page.getByRole("dialog", { name: "Change: chat" });
  assert.equal(await change.getByLabel("Only events of these kinds").inputValue(), "network");
  await change.getByLabel("Only events of these kinds").fill("");
  await change.getByLabel("Comment").fill("for the team");
  await change.getByRole("button", { name: "Show plan" }).click();
  await change.getByRole("button", { name: "Change", exact: true }).click();
  await change.getByText("success").first().waitFor();
  await change.getByRole("button", { name: "Close" }).last().click();
  await row.getByText("for the team").waitFor();
  await row.getByRole("cell", { name: "all", exact: true }).waitFor();

  await perform(page, "chat", "Disable");
  await row.getByText("disabled").waitFor();
  await perform(page, "chat", "Remove");
  await row.waitFor({ state: "detached" });
});

test("a receiver that does not answer is told", async (context) => {
  const page = await openConsole(context, "notifications");
  await ask(page, "POST", "/2/notifications", { name: "nobody", url: "http://127.0.0.1:9/", kinds: ["network"] });
  const row = page.getByRole("row", { name: /^nobody/ });
  await row.getByRole("button", { name: "Test" }).click();
  await page.getByText(/^nobody: /).waitFor();
  await perform(page, "nobody", "Remove");
});

test("who is no administrator is told so", async (context) => {
  const page = await openConsole(context);
  const password = "correct horse battery";
  await carryOut(page, "POST", "/2/access/users", { user_name: "wim", password });
  await carryOut(page, "POST", "/2/access/roles", { subject: "wim", role: "viewer" });
  const his = await openPage(context);
  await his.goto(`${CONSOLE}notifications`);
  await logIn(his, "wim", password);
  await his.getByText("Notifications are for administrators").waitFor();
  assert.equal(await his.getByRole("link", { name: "Notifications" }).count(), 0);
});
