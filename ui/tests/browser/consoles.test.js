// SPDX-License-Identifier: BSD-2-Clause
// Consoles of real guests: what is typed, what is shown, who is there, and what happens when they end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, carryOut, CONSOLE, logIn, look, openConsole, openPage, quickstart } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

const NAME = String(process.env["INSTANCE"]);

/** @param {Page} page @param {string} text */
const shown = (page, text) => page.locator(".terminal .xterm-rows").getByText(text).first();

/** @param {Page} page */
const terminal = (page) => page.locator(".terminal .xterm-helper-textarea");

test("commands are typed at the serial console, and their output is shown", async (context) => {
  const page = await openConsole(context, `instances/${NAME}`);
  await page.getByRole("link", { name: "Serial console", exact: true }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
  await shown(page, "tick").waitFor(); // which the guest writes once it is up
  await terminal(page).pressSequentially("echo $((6 * 7))\n");
  await shown(page, "42").waitFor();
  await look(page, "serial");
});

test("what the guest uses is plotted", async (context) => {
  const page = await openConsole(context, `instances/${NAME}`);
  await page.getByRole("img", { name: /^Memory: Memory \d/ }).waitFor();
  await page.getByRole("img", { name: /^CPUs in use: CPUs \d/ }).waitFor({ timeout: 60000 });
  await page.getByRole("img", { name: /^Disk: Read \d.* Written \d/ }).waitFor();
  await look(page, "usage");
});

test("a text is pasted as key presses", async (context) => {
  const page = await openConsole(context, `instances/${NAME}/serial`);
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Paste" }).click();
  await page.getByRole("dialog").getByLabel("Text").fill("echo pasted-$((1 + 1))\n");
  await page.getByRole("button", { name: "Type it" }).click();
  await shown(page, "pasted-2").waitFor();
});

test("two viewers see the same, and know of each other", async (context) => {
  const first = await openConsole(context, `instances/${NAME}/serial`);
  await first.getByText("Connected", { exact: true }).waitFor();
  const second = await openConsole(context, `instances/${NAME}/serial`);
  await second.getByText("Also here: quickstart").waitFor();
  await first.getByText("Also here: quickstart").waitFor();
  await terminal(first).pressSequentially("echo both-$((2 + 3))\n");
  await shown(second, "both-5").waitFor();
  await second.goto(CONSOLE);
  await first.getByText("Also here: quickstart").waitFor({ state: "detached" });
});

test("who takes over a serial console types alone, until it is taken back", async (context) => {
  const first = await openConsole(context, `instances/${NAME}/serial`);
  await first.getByText("Connected", { exact: true }).waitFor();
  const second = await openConsole(context, `instances/${NAME}/serial`);
  await second.getByRole("button", { name: "Take over" }).click();
  await first.getByText("quickstart has taken over; you watch.").waitFor();
  await second.getByText("Also here: quickstart (watching)").waitFor();
  assert.ok(await first.getByRole("button", { name: "Paste" }).isDisabled());
  await terminal(second).pressSequentially("echo taken-$((4 + 4))\n");
  await shown(first, "taken-8").waitFor();
  await look(first, "taken-over");
  await first.getByRole("button", { name: "Take over" }).click();
  await second.getByText("quickstart has taken over; you watch.").waitFor();
});

test("viewers of a screen know of each other, and one watches or takes over", async (context) => {
  const first = await openConsole(context, `instances/${NAME}/screen`);
  await first.getByText("Connected", { exact: true }).waitFor();
  await first.getByLabel("Watch only").check();
  const second = await openConsole(context, `instances/${NAME}/screen`);
  await second.getByText("Also here: quickstart (watching)").waitFor();
  await first.getByLabel("Watch only").uncheck();
  await second.getByText("Also here: quickstart", { exact: true }).waitFor();
  await second.getByRole("button", { name: "Take over" }).click();
  await first.getByText("quickstart has taken over; you watch.").waitFor();
  await second.goto(CONSOLE);
  await first.getByText("Also here").waitFor({ state: "detached" });
  assert.ok(await first.getByRole("button", { name: "Paste" }).isEnabled());
});

test("a console that is lost is opened again", async (context) => {
  const page = await openConsole(context, `instances/${NAME}/serial`);
  await page.getByText("Connected", { exact: true }).waitFor();
  const job = await ask(page, "POST", `/2/instances/${NAME}/reboot?type=hard`);
  assert.ok(job > 0);
  await page.getByText(/has ended/).waitFor();
  await page.getByText("Connected", { exact: true }).waitFor();
});

test("the page of an instance shows what is on its screen", async (context) => {
  const page = await openConsole(context, `instances/${NAME}`);
  const picture = page.getByRole("img", { name: `The screen of ${NAME}` });
  await picture.waitFor();
  assert.ok((await picture.evaluate((image) => /** @type {HTMLImageElement} */ (image).naturalWidth)) >= 320);
  await look(page, "thumbnail");
  await picture.click();
  await page.getByText("Connected", { exact: true }).waitFor();
});

test("a ticket that was used opens nothing", async (context) => {
  const page = await openConsole(context);
  const { uri } = await ask(page, "POST", `/2/instances/${NAME}/console-ticket`, { stream: "serial" });
  const opened = await page.evaluate(async (path) => {
    /** @type {string[]} */
    const results = [];
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await new Promise((resolve) => {
        const socket = new WebSocket(path);
        socket.onopen = () => {
          results.push("open");
          socket.close();
        };
        socket.onclose = resolve;
        socket.onerror = () => results.push("refused");
      });
    }
    return results;
  }, uri);
  assert.deepEqual(opened, ["open", "refused"]);
});

test("a text is typed at the screen by the keys of the guest's layout", async (context) => {
  const page = await openConsole(context);
  /** @type {number[]} */
  const sent = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(...Buffer.from(payload))));
  await page.goto(`${CONSOLE}instances/${NAME}/screen`);
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Paste" }).click();
  const paste = page.getByRole("dialog");
  await paste.getByLabel("Text").fill("@");
  await paste.getByLabel("Keyboard layout of the guest").selectOption("de");
  await look(page, "paste");
  await paste.getByRole("button", { name: "Type it" }).click();
  // The character, and the key that has Q on a US keyboard (RFB protocol, QEMU Extended Key Event).
  const wanted = Buffer.from([0, 0, 0, 0x40, 0, 0, 0, 0x10]);
  while (!Buffer.from(sent).includes(wanted)) await page.evaluate(() => new Promise(requestAnimationFrame));
});

/** @param {Page} page @param {string} uri @returns {Promise<boolean>} whether the console was opened */
const opens = (page, uri) =>
  page.evaluate(
    (path) =>
      new Promise((resolve) => {
        const socket = new WebSocket(new URL(path, location.href.replace("http", "ws")));
        socket.onopen = () => {
          resolve(true);
          socket.close();
        };
        socket.onerror = () => resolve(false);
      }),
    uri,
  );

test("a ticket is good once, and only for the instance that it was made for", async (context) => {
  const page = await openConsole(context);
  const ticket = () => ask(page, "POST", `/2/instances/${NAME}/console-ticket`, { stream: "serial" });
  const { uri } = await ticket();
  assert.equal(await opens(page, uri), true);
  assert.equal(await opens(page, uri), false);
  const second = await ticket();
  assert.equal(await opens(page, second.uri.replace(/.$/, (/** @type {string} */ each) => (each === "0" ? "1" : "0"))), false);
  assert.equal(await opens(page, second.uri), true);
});

test("an operator of some instances uses their consoles, until the role is revoked", async (context) => {
  const page = await openConsole(context);
  const password = "correct horse battery";
  await carryOut(page, "PUT", `/2/instances/${NAME}/tags?tag=team-c`);
  await carryOut(page, "POST", "/2/access/users", { user_name: "carl", password });
  await carryOut(page, "POST", "/2/access/roles", { subject: "carl", role: "operator", tags: ["team-c"] });
  const grant = (await ask(page, "GET", "/2/access/roles")).find((/** @type {any} */ each) => each.subject === "carl");
  const his = await openPage(context);
  await his.goto(`${CONSOLE}instances/${NAME}/serial`);
  await logIn(his, "carl", password);
  await his.getByText("Connected", { exact: true }).waitFor();
  await shown(his, "tick").waitFor(); // the guest is up again
  await terminal(his).pressSequentially("echo by-carl-$((3 + 4))\n");
  await shown(his, "by-carl-7").waitFor();
  await ask(page, "DELETE", `/2/access/roles/${grant.id}`);
  await his.getByText("Closed", { exact: true }).waitFor();
  await his.getByText(/user carl has no role/).first().waitFor();
});

test("another CD is put into the drive beside the console", async (context) => {
  const page = await openConsole(context, `instances/${NAME}/serial`);
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Change CD" }).click();
  const plan = page.getByRole("dialog", { name: `Change CD: ${NAME}` });
  await plan.getByLabel(/^Image/).fill("/nowhere.iso");
  await plan.getByRole("button", { name: "Show plan" }).click();
  await plan.getByText(/nowhere\.iso/).waitFor();
  await plan.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Change CD" }).click();
  await plan.getByLabel(/^Image/).fill(String(process.env["OTHER_CD"]));
  await plan.getByRole("button", { name: "Show plan" }).click();
  await plan.getByText(/cdrom_image_path/).first().waitFor();
  await look(page, "cd");
  await plan.getByRole("button", { name: "Change CD", exact: true }).click();
  await plan.getByText("success").first().waitFor();
  const job = await plan.getByRole("link").first().innerText();
  await plan.getByRole("button", { name: "Close" }).last().click();
  // It does not say that the change has to wait for the next start.
  assert.deepEqual((await ask(page, "GET", `/2/jobs/${job}`)).oplog, [[]]);
});

test("a console whose node is lost says so, and is opened again when the node is back", async (context) => {
  const page = await openConsole(context, `instances/${NAME}/serial`);
  await page.getByText("Connected", { exact: true }).waitFor();
  const { NODED_PID_1: node } = await quickstart("env");
  process.kill(Number(node), "SIGKILL");
  await page.getByText("Closed", { exact: true }).waitFor();
  await page.getByRole("alert").first().waitFor();
  await quickstart("start");
  await page.getByText("Connected", { exact: true }).waitFor();
});

// The last one, as it has the guest boot anew.
test("the screen is drawn, and keys are sent in two steps", async (context) => {
  const page = await openConsole(context, `instances/${NAME}`);
  await page.getByRole("link", { name: "Screen", exact: true }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.waitForFunction(() => {
    const canvas = document.querySelector("canvas");
    const pixels = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels?.some((value, index) => index % 4 !== 3 && value > 100);
  });
  await look(page, "screen");
  assert.ok(await page.getByRole("button", { name: "Ctrl-Alt-Del" }).isHidden());
  await page.getByText("Keys", { exact: true }).click();
  await page.getByRole("button", { name: "Ctrl-Alt-Del" }).click();
  assert.ok(await page.getByRole("button", { name: "Ctrl-Alt-Del" }).isHidden());
});
