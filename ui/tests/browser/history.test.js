// SPDX-License-Identifier: BSD-2-Clause
// The past shows who changed what, why, and by which job; also what happens just now.
import { test } from "node:test";
import { ask, look, openConsole } from "./console.js";

test("the history of an instance shows what was different", async (context) => {
  const page = await openConsole(context, "instances/first.trial");
  await ask(page, "PUT", "/2/instances/first.trial/tags?tag=past");
  await page.getByRole("link", { name: "History of changes" }).click();
  await page.getByRole("listitem").getByText(/→.*past/).first().waitFor();
  await page.getByText(/TAGS_SET/).first().waitFor();
  await look(page, "history");
  await page.getByRole("listitem").filter({ hasText: /→.*past/ }).first().getByRole("button", { name: "Show as it was" }).click();
  const past = page.getByRole("dialog", { name: "instance first.trial" });
  await past.getByLabel("State").getByText(/"past"/).waitFor();
  await past.getByLabel("Compared with").selectOption({ index: 1 });
  await past.getByRole("list", { name: "Differences" }).getByText(/tags.*past/).waitFor();
  await look(page, "past");
  await past.getByRole("button", { name: "Close" }).click();
  await ask(page, "DELETE", "/2/instances/first.trial/tags?tag=past");
  await page.getByText(/TAGS_DEL/).first().waitFor();
});

test("all changes of the cluster are listed, and those of one object", async (context) => {
  const page = await openConsole(context, "history");
  await page.getByText("node node2.trial created").or(page.getByText(/node\s+node2\.trial\s+created/)).first().waitFor();
  await page.getByLabel("Object").fill("first.trial");
  await page.keyboard.press("Enter");
  await page.getByText(/instance\s+first\.trial\s+created/).waitFor();
  await page.getByText(/node2\.trial\s+created/).waitFor({ state: "detached" });
});
