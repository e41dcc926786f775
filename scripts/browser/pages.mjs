// Pages in a browser: opening them, entering a room, and what every page has to satisfy.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = { narrow: { width: 390, height: 844 }, wide: { width: 1280, height: 800 } };
/** What a browser logs when a server is away, stops, or has another log than the cursor's. */
const CONNECTION_ERRORS = /status of (400|503)|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|ERR_SOCKET|WebSocket connection to/;

export class Browser {
  constructor(chrome, folder) {
    Object.assign(this, { chrome, folder });
  }

  /** Opens a page in a context of its own. `allowed`: console errors that the check provokes. */
  async open(url, { allowed, ...options } = {}) {
    const context = await this.chrome.newContext({ viewport: WIDTHS.wide, ...options });
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", (error) => page.errors.push(error.stack));
    page.on("console", (message) => {
      if (message.type() === "error" && !allowed?.test(message.text())) page.errors.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** Opens the chat page and enters a room. */
  async enter(server, { room, name, view = "chat", token, restarts = false, ...options }) {
    const page = await this.open(`${server.http}/?room=${room}`, { allowed: restarts ? CONNECTION_ERRORS : undefined, ...options });
    await page.fill("#name", name);
    if (token) {
      await page.click(`button[value=${view}]`);
      await page.fill("#token", token);
    }
    await page.click(`button[value=${view}]`);
    await page.waitForSelector(`#${view}:not([hidden])`);
    return page;
  }

  async shoot(page, name) {
    for (const [width, viewport] of Object.entries(WIDTHS)) {
      for (const colorScheme of ["light", "dark"]) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(this.folder, `${name}-${width}-${colorScheme}.png`) });
      }
    }
    await page.setViewportSize(WIDTHS.wide);
    await page.emulateMedia({ colorScheme: "light" });
  }
}

/** Closes a page that has logged no error. */
export async function close(page) {
  const { errors } = page;
  await page.context().close();
  assert.deepEqual(errors, []);
}

/** Accessible by the rules of axe in both colour schemes, and never wider than the window. */
export async function checkPage(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    // Evaluated by the debugger, not by a script of the page, which its policy would refuse.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const found = violations.map(({ id, nodes }) => `${colorScheme} ${id}: ${nodes.map((node) => node.html).join("\n")}`);
    assert.deepEqual(found, []);
  }
  await page.emulateMedia({ colorScheme: "light" });
  for (const width of [360, 390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `at ${width} px the page is ${wider} px wider than the window`);
  }
  await page.setViewportSize(WIDTHS.wide);
}

/** Waits until a condition on the page holds. */
export async function until(what, holds, patience_ms = 10_000) {
  const end = Date.now() + patience_ms;
  for (let last; ; ) {
    last = await holds();
    if (last === true) return;
    if (Date.now() > end) throw new Error(`waited ${patience_ms / 1000} s for ${what}; found ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
