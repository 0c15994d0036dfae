// SPDX-License-Identifier: BSD-2-Clause
// The page that is shown until the libraries are there; it uses none.

const INTERVAL = 1000;

async function look() {
  try {
    const response = await fetch("/ui/libraries", { credentials: "omit" });
    const { complete, progress } = await response.json();
    if (complete) {
      location.reload();
      return;
    }
    const output = document.getElementById("progress");
    if (output && progress) output.textContent = progress;
  } catch {
    // The server may be restarting: ask again.
  }
  setTimeout(look, INTERVAL);
}

look();
