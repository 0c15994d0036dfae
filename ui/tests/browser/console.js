// SPDX-License-Identifier: BSD-2-Clause
// A browser at the console of a running cluster, which the environment names: CONSOLE_URL, RAPI_USER,
// RAPI_PASSWORD, QUICKSTART (how the quick start is called for it), CHROMIUM, and SCREENSHOTS, a folder for pictures of the pages, if there is one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

/** @param {string} name */
function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}

export const CONSOLE = setting("CONSOLE_URL");

/** A folder for pictures; empty if there is none. */
export const SCREENSHOTS = process.env["SCREENSHOTS"] ?? "";

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: setting("CHROMIUM"),
    // As root, in a container or not: the pages come from our own server.
    args: ["--no-sandbox"],
  });
});

after(() => browser?.close());

/**
 * Return a new browser profile, which has no cookies.
 *
 * @param {import("node:test").TestContext} context
 */
export async function openBrowser(context) {
  const profile = await browser.newContext({ ignoreHTTPSErrors: true, viewport: DESKTOP });
  profile.setDefaultTimeout(20000);
  context.after(() => profile.close());
  return profile;
}

/**
 * Open a page in a new browser profile. The test fails if the page reports an error, breaks its
 * security policy, or asks another host for anything.
 *
 * @param {import("node:test").TestContext} context
 */
export async function openPage(context) {
  const profile = await openBrowser(context);
  const page = await profile.newPage();
  /** @type {string[]} */
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Trusted Type/.test(message.text())) problems.push(message.text());
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(CONSOLE).origin) problems.push(request.url());
  });
  context.after(() => assert.deepEqual(problems, []));
  return page;
}

/** @type {string[]} */
const [program = "", ...words] = JSON.parse(process.env["QUICKSTART"] ?? "[]");

/**
 * Run a command of the quick start; return the values that it prints.
 *
 * @param {string} command
 * @returns {Promise<Record<string, string>>}
 */
export async function quickstart(command) {
  const { stdout } = await promisify(execFile)(program, [...words, command]);
  return Object.fromEntries(stdout.split("\n").map((line) => line.split("=")));
}

/**
 * Open the console in a new browser profile, and log in.
 *
 * @param {import("node:test").TestContext} context
 * @param {string} [path]
 * @param {(page: import("playwright-core").Page) => Promise<unknown>} [prepare]
 */
export async function openConsole(context, path = "", prepare = async () => {}) {
  const page = await openPage(context);
  await prepare(page);
  await page.goto(CONSOLE + path);
  await logIn(page);
  return page;
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} [name]
 * @param {string} [password]
 */
export async function logIn(page, name = setting("RAPI_USER"), password = setting("RAPI_PASSWORD")) {
  await page.getByLabel("User").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Live", { exact: true }).waitFor();
}

/**
 * Fail if axe-core finds something serious on the page.
 *
 * @param {import("playwright-core").Page} page
 */
export async function assertAccessible(page) {
  // Evaluated by the test and not by the page, whose policy allows no script but its own.
  await page.evaluate(await readFile(AXE, "utf8"));
  const found = await page.evaluate(async () => {
    const results = await /** @type {any} */ (window).axe.run(document);
    return results.violations
      .filter((/** @type {any} */ each) => ["serious", "critical"].includes(each.impact))
      .map((/** @type {any} */ each) => `${each.id}: ${each.nodes.map((/** @type {any} */ node) => node.html).join(" | ")}`);
  });
  assert.deepEqual(found, []);
}

/**
 * Look at the page in light and dark, on a desktop and a phone: no serious finding of axe-core,
 * nothing wider than the screen. The pictures are kept if a folder is given.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
export async function look(page, name) {
  const folder = SCREENSHOTS;
  if (folder) await mkdir(folder, { recursive: true });
  for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await assertAccessible(page);
      if (folder) await page.screenshot({ path: `${folder}/${name}-${device}-${colorScheme}.png` });
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} pixels too wide on a ${device}`);
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light" });
}

/**
 * Ask the remote API, without the browser.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} method
 * @param {string} path
 * @param {unknown} [data]
 */
export async function ask(page, method, path, data) {
  const login = Buffer.from(`${setting("RAPI_USER")}:${setting("RAPI_PASSWORD")}`).toString("base64");
  const response = await page.request.fetch(new URL(path, CONSOLE).href, {
    method,
    headers: { Authorization: `Basic ${login}` },
    ...(data === undefined ? {} : { data }),
  });
  const text = await response.text();
  assert.ok(response.ok(), `${method} ${path}: ${text}`);
  return JSON.parse(text);
}

const FINAL = ["success", "error", "canceled"];
const JOB_TIMEOUT = 60000;

/**
 * Have a job carried out by the remote API, and wait until it has ended well.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} method
 * @param {string} path
 * @param {object} [data]
 */
export async function carryOut(page, method, path, data) {
  const number = await ask(page, method, path, data);
  const until = Date.now() + JOB_TIMEOUT;
  for (;;) {
    const job = await ask(page, "GET", `/2/jobs/${number}`);
    if (FINAL.includes(job.status)) {
      assert.equal(job.status, "success", JSON.stringify(job.opresult));
      return job;
    }
    assert.ok(Date.now() < until, `job ${number} of ${method} ${path} is still ${job.status}`);
  }
}
