// SPDX-License-Identifier: BSD-2-Clause
// Actions show their plan first, and then their job, to its end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, CONSOLE, look, openConsole } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

/** @param {Page} page @param {string} name */
const dialog = (page, name) => page.getByRole("dialog", { name });

/**
 * Confirm the plan in a dialog; returns when its jobs have succeeded.
 *
 * @param {import("playwright-core").Locator} opened
 * @param {string} button
 */
async function confirm(opened, button) {
  await opened.getByRole("button", { name: button, exact: true }).click();
  await opened.getByText("success").first().waitFor();
  await opened.getByRole("button", { name: "Close" }).last().click();
}

/** @param {Page} page @param {number} job */
async function ended(page, job) {
  for (;;) {
    const { status } = await ask(page, "GET", `/2/jobs/${job}`);
    if (["success", "error", "canceled"].includes(status)) return status;
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

/** @param {Page} page @param {string} name @param {Record<string, unknown>} more */
async function make(page, name, more = {}) {
  const body = {
    ...{ __version__: 1, mode: "create", name, os: "noop", disk_template: "drbd", disks: [{ size: 16 }] },
    ...{ nics: [{}], name_check: false, ip_check: false, ...more },
  };
  assert.equal(await ended(page, await ask(page, "POST", "/2/instances", body)), "success");
}

test("an instance is created by a form, with a verdict for each node", async (context) => {
  const page = await openConsole(context, "instances");
  await page.getByRole("button", { name: "New instance" }).click();
  const form = dialog(page, "New instance");
  await form.getByLabel("name", { exact: true }).fill("made1");
  await form.getByLabel("os", { exact: true }).fill("noop");
  await form.getByLabel("disk_template").selectOption("file");
  await form.getByRole("list", { name: "Nodes" }).getByText("fits").nth(2).waitFor();
  await form.getByLabel("disks", { exact: true }).fill('[{"size": 99999999}]');
  await form.getByRole("list", { name: "Nodes" }).getByText(/fits/).first().waitFor({ state: "detached" });
  await look(page, "create");
  await form.getByLabel("disks", { exact: true }).fill('[{"size": 16');
  await form.getByText("This is no JSON").waitFor();
  await form.getByLabel("disks", { exact: true }).fill('[{"size": 16}]');
  await form.getByRole("button", { name: "Show plan" }).click();
  const plan = dialog(page, "New instance: made1");
  await plan.getByText("Make disk 0 of instance made1 (16 MiB).").waitFor();
  await confirm(plan, "Create");
  await page.getByRole("row", { name: /made1/ }).getByText("running", { exact: true }).waitFor();
});

test("an instance is migrated, and its page follows", async (context) => {
  const page = await openConsole(context);
  await make(page, "moved1", { pnode: "node1.trial", snode: "node2.trial" });
  await page.goto(`${CONSOLE}instances/moved1`);
  const facts = page.locator("dl.facts").first();
  await facts.getByText("node1.trial").waitFor();
  await look(page, "instance");
  await page.getByRole("button", { name: "Migrate" }).click();
  const plan = dialog(page, "Migrate: moved1");
  await plan.getByText("Migrate instance moved1 from node node1.trial to node node2.trial while it runs.").waitFor();
  await plan.getByText("instance moved1").first().waitFor();
  await look(page, "plan");
  await confirm(plan, "Migrate");
  await page.locator("dt", { hasText: "Primary node" }).locator("..").getByText("node2.trial").waitFor();
});

test("what cannot be undone is said before it is done", async (context) => {
  const page = await openConsole(context);
  await make(page, "gone1", { disk_template: "file" });
  await page.getByRole("link", { name: "Instances", exact: true }).click();
  await page.getByLabel("Select gone1").check();
  await page.getByRole("toolbar").getByRole("button", { name: "Remove", exact: true }).click();
  const plan = dialog(page, "Remove: gone1");
  await plan.getByText("Cannot be undone:").waitFor();
  await plan.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await ask(page, "GET", "/2/instances/gone1")).name, "gone1");
  await page.getByRole("toolbar").getByRole("button", { name: "Remove", exact: true }).click();
  await confirm(plan, "Remove");
  await page.getByLabel("Select gone1").waitFor({ state: "detached" });
});

test("what is refused says why, and cannot be confirmed", async (context) => {
  const page = await openConsole(context, "instances");
  await page.getByLabel("Select first.trial").check();
  await page.getByRole("toolbar").getByRole("button", { name: "Fail over", exact: true }).click();
  const plan = dialog(page, "Fail over: first.trial");
  await plan.getByText(/file disks of instance first.trial are only on/).waitFor();
  assert.ok(await plan.getByRole("button", { name: "Fail over", exact: true }).isDisabled());
});

test("several instances are tagged at once", async (context) => {
  const page = await openConsole(context, "instances");
  await make(page, "tagged1", { disk_template: "file" });
  await page.getByLabel("Select tagged1").check();
  await page.getByLabel("Select first.trial").check();
  await page.getByRole("button", { name: "Add tag" }).click();
  const plan = dialog(page, "Add tag: 2 objects");
  await plan.getByLabel("Tag").fill("blue");
  await plan.getByRole("button", { name: "Show plan" }).click();
  await plan.getByText("Add the tags blue (instance tagged1).").waitFor();
  await confirm(plan, "Add tag 2");
  await page.getByRole("row", { name: /tagged1.*blue/ }).waitFor();
  await page.getByRole("row", { name: /first\.trial.*blue/ }).waitFor();
});

test("a node is evacuated", async (context) => {
  const page = await openConsole(context);
  await make(page, "guest1", { pnode: "node3.trial", snode: "node2.trial" });
  await page.getByRole("link", { name: "Nodes", exact: true }).click();
  await page.getByRole("link", { name: "node3.trial" }).click();
  await page.getByRole("heading", { name: "node3.trial" }).waitFor();
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
  await look(page, "node");
  await page.getByRole("button", { name: "Evacuate" }).click();
  const plan = dialog(page, "Evacuate: node3.trial");
  await plan.getByLabel("Instances").selectOption("secondary-only");
  await plan.getByRole("button", { name: "Show plan" }).click();
  await plan.getByText(/Submit a job|no instance has to leave/).first().waitFor();
  await confirm(plan, "Evacuate");
});

test("a job that waits is watched and canceled", async (context) => {
  const page = await openConsole(context);
  const first = await ask(page, "PUT", "/2/filters/11111111-2222-4333-8444-555555555555", {
    predicates: [["opcode", ["=", "OP_ID", "OP_INSTANCE_REBOOT"]]],
    action: "PAUSE",
  });
  context.after(() => ask(page, "DELETE", `/2/filters/${first}`).catch(() => {}));
  const job = await ask(page, "POST", "/2/instances/first.trial/reboot");
  await page.getByRole("link", { name: String(job), exact: true }).click();
  await page.getByText("queued").first().waitFor();
  await look(page, "job");
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByText("canceled").first().waitFor();
  assert.equal(await ended(page, job), "canceled");
  await ask(page, "DELETE", `/2/filters/${first}`);
});
