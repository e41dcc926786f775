// The page of a report, from a file.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { check } from "../interop/harness.mjs";
import { checkPage, close } from "./pages.mjs";

const PLOT = "#\\30 1-latency-by-percentile svg";
const BYTES_MAX = 3_000_000;
/** A4 without its margins of 12 mm, at 96 pixels an inch. */
const PAPER = { width: 703, height: 1032 };

/** Writes the report of the reference job. */
function makeReport(binary) {
  const folder = mkdtempSync(join(tmpdir(), "pushbench-report-"));
  execFileSync(binary, ["report", "results/reference", "--out", folder], { stdio: "ignore" });
  return join(folder, "report.html");
}

export async function checkReport(browser, binary) {
  const file = makeReport(binary);
  const url = pathToFileURL(file).href;

  await check("report: one file, accessible, and no wider than the window", async () => {
    assert.ok(statSync(file).size < BYTES_MAX, `the report has ${statSync(file).size} bytes`);
    const page = await browser.open(url);
    await checkPage(page);
    await browser.shoot(page, "report");
    await page.locator("#plots").scrollIntoViewIfNeeded();
    await browser.shoot(page, "report-plots");
    await close(page);
  }, 90_000);

  await check("report: a transport is hidden in all plots and shown again", async () => {
    const page = await browser.open(url);
    const shown = () => page.$$eval('g[data-subject="sse"]', (groups) => groups.filter((group) => group.style.display !== "none").length);
    const all = await shown();
    assert.ok(all > 5, `${all} groups`);
    await page.getByRole("checkbox", { name: "sse" }).uncheck();
    assert.equal(await shown(), 0);
    await page.getByRole("checkbox", { name: "sse" }).check();
    assert.equal(await shown(), all);
    await close(page);
  });

  await check("report: a pointer at a curve shows its value", async () => {
    const page = await browser.open(url);
    await page.locator(PLOT).scrollIntoViewIfNeeded();
    const box = await page.locator(`${PLOT} g[data-subject=polling] .tip`).nth(15).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    assert.match(await page.textContent("#tip"), /^polling: \d[\d.]* % within \d[\d.]* ms$/);
    await page.mouse.move(1, 1);
    assert.ok(await page.isHidden("#tip"));
    await close(page);
  });

  await check("report: tables are sorted by a column", async () => {
    const page = await browser.open(url);
    const table = page.locator("table", { has: page.getByRole("button", { name: "p50 ms" }) }).first();
    const names = () => table.locator("tbody td:first-child").allTextContents();
    await table.getByRole("button", { name: "p50 ms" }).click();
    assert.equal((await names()).at(-1), "polling");
    await table.getByRole("button", { name: "p50 ms" }).click();
    assert.equal((await names())[0], "polling");
    assert.equal(await table.locator("th[aria-sort]").getAttribute("aria-sort"), "descending");
    await close(page);
  });

  await check("report: without scripts nothing is missing, and plots are whole on paper", async () => {
    const page = await browser.open(url, { javaScriptEnabled: false });
    assert.ok((await page.locator("svg.plot").count()) > 5);
    assert.ok((await page.locator(".tip title").count()) > 100);
    await page.pdf({ path: join(browser.folder, "report.pdf"), preferCSSPageSize: true });
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize(PAPER);
    for (const figure of await page.locator("figure").all()) {
      const { width, height } = await figure.boundingBox();
      assert.ok(width <= PAPER.width && height <= PAPER.height, `a figure of ${width} × ${height} px on ${PAPER.width} × ${PAPER.height}`);
    }
    await close(page);
  });
}
