// SPDX-License-Identifier: BSD-2-Clause
// The picture of the README: an overview with something in it.
import { test } from "node:test";
import { carryOut, openConsole, SCREENSHOTS } from "./console.js";

/** @typedef {import("playwright-core").Page} Page */

const GUESTS = ["db1", "db2", "mail", "web1", "web2", "web3", "wiki"];

/** @param {Page} page @param {string} name @param {number} index */
const make = (page, name, index) =>
  carryOut(page, "POST", "/2/instances", {
    ...{ __version__: 1, mode: "create", name, os: "noop", disk_template: "file", disks: [{ size: 16 }], nics: [{}] },
    ...{ pnode: `node${(index % 3) + 1}.trial`, name_check: false, ip_check: false },
    beparams: { maxmem: 1024 * (1 + (index % 3)), minmem: 128 },
  });

test("the overview has an area for each instance", async (context) => {
  const page = await openConsole(context);
  await Promise.all(GUESTS.map((name, index) => make(page, name, index)));
  for (const name of GUESTS) await page.locator("rect.area title", { hasText: `${name}:` }).first().waitFor({ state: "attached" });
  await page.getByText("No problems found").waitFor();
  await page.getByRole("heading", { name: "Last jobs" }).waitFor();
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/readme.png` });
});
