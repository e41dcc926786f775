// The page of a running job (`run --watch`).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { check, within } from "../interop/harness.mjs";
import { checkPage, close, until } from "./pages.mjs";

const PATIENCE_MS = 120_000;

/** Starts a job, and waits for the address of its page. */
async function startJob(binary, ...more) {
  const out = mkdtempSync(join(tmpdir(), "pushbench-watch-"));
  const options = ["--clients", "20", "--rooms", "2", "--rate", "2", "--transports", "websocket,sse", "--out", out];
  const child = spawn(binary, ["run", ...options, "--watch", ...more], { stdio: ["ignore", "ignore", "pipe"] });
  const exit = once(child, "exit");
  const lines = createInterface({ input: child.stderr });
  const found = new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const url = line.match(/shown at (http:\S+)/)?.[1];
      if (url) resolve(url);
    });
    exit.then(([code]) => reject(new Error(`the job has ended with ${code}`)));
  });
  return { url: await within("the address of the page", found), exit, child };
}

export async function checkWatch(browser, binary) {
  await check("watch: the page shows intervals that narrow, and ends in the report", async () => {
    const job = await startJob(binary, "--budget", "40s");
    const page = await browser.open(job.url);
    await until("the subjects", async () => (await page.$$("#rows tr")).length === 3 || page.textContent("body"), 30_000);
    const ratio = () => page.textContent("#plots figcaption span");
    await until("an interval", async () => /\[/.test(await ratio().catch(() => "")) || page.textContent("#doing"), 60_000);
    await checkPage(page);
    await browser.shoot(page, "watch");
    await page.selectOption("#metric", "delivery_p50_ms");
    assert.match(await page.textContent("#rows tr"), /%/);
    await page.waitForURL(/\/report$/, { timeout: 60_000 });
    assert.match(await page.textContent("h1"), /20 clients/);
    const [code] = await within("the job to end", job.exit);
    assert.ok([0, 6].includes(code), `the job ended with ${code}`);
    await close(page);
  }, PATIENCE_MS);

  await check("watch: a browser that goes away or does not read holds nothing up, and Ctrl-C ends in a report", async () => {
    const job = await startJob(binary, "--budget", "10m");
    const first = await browser.open(job.url);
    await until("the subjects", async () => (await first.$$("#rows tr")).length === 3 || first.textContent("body"), 30_000);
    await close(first);
    const stalled = await fetch(`${job.url}events`);
    assert.equal(stalled.status, 200);
    for (const host of ["evil.example", "127.0.0.1.evil.example"]) {
      assert.equal(await statusFor(job.url, host), 403);
    }
    const second = await browser.open(job.url);
    await until("the subjects again", async () => (await second.$$("#rows tr")).length === 3 || second.textContent("body"), 30_000);
    job.child.kill("SIGINT");
    await second.waitForURL(/\/report$/, { timeout: 30_000 });
    assert.match(await second.textContent("body"), /partial|There is no report/);
    await within("the job to end", job.exit, 30_000);
    await stalled.body.cancel().catch(() => {});
    await close(second);
  }, PATIENCE_MS);
}

/** The status of a request with another Host header, which fetch cannot send. */
async function statusFor(url, host) {
  const { request } = await import("node:http");
  const asked = request(url, { headers: { host } });
  asked.end();
  const [answer] = await once(asked, "response");
  answer.resume();
  return answer.statusCode;
}
