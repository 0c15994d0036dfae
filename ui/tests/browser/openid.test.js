// SPDX-License-Identifier: BSD-2-Clause
// A user of the OpenID provider signs in without a password of this cluster.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONSOLE, look, openBrowser } from "./console.js";

test("a user comes back from the provider signed in, and may do what the groups may", async (context) => {
  const profile = await openBrowser(context);
  const page = await profile.newPage();
  await page.goto(`${CONSOLE}access`);
  await page.getByRole("link", { name: "Sign in with OpenID" }).click();
  await page.getByText("Live", { exact: true }).waitFor();
  assert.equal(page.url(), CONSOLE);
  await page.getByRole("link", { name: "Access", exact: true }).click();
  await page.getByText("openid:eve").first().waitFor();
  await page.getByRole("button", { name: "New user" }).waitFor();
  await page.reload();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Password").waitFor();
});

test("a user who does not come back signed in is shown why, and begins again", async (context) => {
  const profile = await openBrowser(context);
  const page = await profile.newPage();
  await page.goto(new URL("/2/access/openid/callback?error=access_denied&state=x", CONSOLE).href);
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  await page.getByText("begin again").waitFor();
  await look(page, "openid-failed");
  await page.getByRole("link", { name: "Sign in with OpenID" }).click();
  await page.getByText("Live", { exact: true }).waitFor();
});
