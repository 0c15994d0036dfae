// SPDX-License-Identifier: BSD-2-Clause
// Sessions, users, roles and tokens: who is let in, what is shown, and what is refused at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { carryOut, CONSOLE, logIn, look, openConsole, openPage } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

const PASSWORD = "correct horse battery";

/** @param {Page} page @param {string} name */
const dialog = (page, name) => page.getByRole("dialog", { name });

/** @param {Page} page @param {string} title */
const section = (page, title) => page.getByRole("region", { name: title, exact: true }).first();

/** @param {Page} page @param {string} path @param {string} token */
async function statusFor(page, path, token) {
  const response = await page.request.get(new URL(path, CONSOLE).href, { headers: { Authorization: `Bearer ${token}` } });
  return response.status();
}

/** @param {import("playwright-core").Locator} plan @param {string} button */
async function confirm(plan, button) {
  await plan.getByRole("button", { name: button, exact: true }).click();
  await plan.getByText("success").first().waitFor();
  await plan.getByRole("button", { name: "Close" }).last().click();
}

/** Add a user with a role, and wait until both are there. */
async function addUser(/** @type {Page} */ page, /** @type {string} */ name, /** @type {Record<string, unknown>} */ grant) {
  await carryOut(page, "POST", "/2/access/users", { user_name: name, password: PASSWORD });
  await carryOut(page, "POST", "/2/access/roles", { subject: name, ...grant });
}

test("a reload asks for no password, and another tab is logged in, too", async (context) => {
  const page = await openConsole(context, "nodes");
  await page.reload();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByText("3 of 3").waitFor();
  const other = await page.context().newPage();
  await other.goto(CONSOLE);
  await other.getByText("Live", { exact: true }).waitFor();
  await other.getByRole("button", { name: "Log out" }).click();
  await other.getByLabel("Password").waitFor();
  await page.getByLabel("Password").waitFor();
});

test("no script of the page can read the session, and the password is nowhere", async (context) => {
  const page = await openConsole(context);
  assert.equal(await page.evaluate(() => document.cookie), "");
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.ok(!kept.includes(String(process.env["RAPI_PASSWORD"])));
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie?.httpOnly, cookie?.secure, cookie?.sameSite], [true, true, "Strict"]);
});

test("a user is added, gets a role, and sees only its instances", async (context) => {
  const page = await openConsole(context, "access");
  await page.getByRole("button", { name: "New user" }).click();
  const form = dialog(page, "New user");
  await form.getByLabel("Name").fill("ann");
  await form.getByLabel("Password").fill("short");
  await form.getByRole("button", { name: "Add user" }).click();
  await form.getByText(/8 to 1024 characters|at least 8/).waitFor();
  await form.getByLabel("Password").fill(PASSWORD);
  await form.getByRole("button", { name: "Add user" }).click();
  await section(page, "Users").getByRole("cell", { name: "ann", exact: true }).waitFor();
  await page.getByRole("button", { name: "Grant role" }).click();
  const grant = dialog(page, "Grant role");
  await grant.getByLabel("User, or group").fill("ann");
  await grant.getByLabel("Role").selectOption("operator");
  await grant.getByLabel("Only instances with one of these tags").fill("nobody-has-it");
  await grant.getByRole("button", { name: "Show plan" }).click();
  await confirm(grant, "Grant role");
  await section(page, "Roles").getByRole("cell", { name: "tag nobody-has-it" }).waitFor();
  await look(page, "access");

  const hers = await openPage(context);
  await hers.goto(`${CONSOLE}instances`);
  await logIn(hers, "ann", PASSWORD);
  await hers.getByText("0 of 0").waitFor();
  await hers.getByRole("link", { name: "Access", exact: true }).click();
  await hers.getByText("operator, for some instances").waitFor();
  assert.equal(await hers.getByRole("button", { name: "New user" }).count(), 0);
});

test("a token is shown once, and refused as soon as it is revoked", async (context) => {
  const page = await openConsole(context, "access");
  await addUser(page, "robot", { role: "viewer" });
  await section(page, "Users").getByRole("cell", { name: "robot", exact: true }).waitFor();
  await page.getByRole("button", { name: "New token" }).click();
  const form = dialog(page, "New token");
  await form.getByLabel("User").selectOption("robot");
  await form.getByLabel("Comment").fill("for a script");
  await form.getByRole("button", { name: "Make token" }).click();
  await form.getByText("It can be used now.").waitFor();
  const token = await form.getByLabel("Token").inputValue();
  assert.match(token, /^gnt_/);
  assert.equal(await statusFor(page, "/2/instances", token), 200);
  await look(page, "token");
  const robots = await openPage(context);
  await robots.goto(`${CONSOLE}access`);
  await robots.getByRole("button", { name: "Use a token" }).click();
  await robots.getByLabel("Token").fill("gnt_no_token");
  await robots.getByRole("button", { name: "Log in" }).click();
  await robots.getByText("The token is wrong, or not valid any more.").waitFor();
  await look(robots, "login-token");
  await robots.getByLabel("Token").fill(` ${token} `);
  await robots.getByRole("button", { name: "Log in" }).click();
  await robots.getByText("robot").first().waitFor();
  await form.getByRole("button", { name: "Done" }).click();
  const row = section(page, "Tokens").getByRole("row", { name: /for a script/ });
  await row.waitFor();
  assert.ok(!(await page.content()).includes(token.split("_")[2] ?? ""));
  await row.getByRole("button", { name: "Revoke" }).click();
  await confirm(page.getByRole("dialog"), "Revoke");
  assert.equal(await statusFor(page, "/2/instances", token), 401);
  await robots.getByText("The login is no longer valid.").waitFor();
  await row.waitFor({ state: "detached" });
});

test("who is disabled or signed out by an administrator is sent to the login page", async (context) => {
  const page = await openConsole(context, "access");
  await addUser(page, "bob", { role: "viewer" });
  const his = await openPage(context);
  await his.goto(`${CONSOLE}nodes`);
  await logIn(his, "bob", PASSWORD);
  await page.reload();
  const row = section(page, "Sessions").getByRole("row", { name: /^bob/ });
  await row.getByRole("button", { name: "End" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
  await his.getByText("The login is no longer valid.").waitFor();
  await row.waitFor({ state: "detached" });
  await logIn(his, "bob", PASSWORD);
  const user = section(page, "Users").getByRole("row", { name: /^bob/ });
  await user.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await his.getByText("The login is no longer valid.").waitFor();
  await user.getByText("disabled").waitFor();
});
