// The chat page with a column for each of several transports.
import assert from "node:assert/strict";
import { check } from "../interop/harness.mjs";
import { TRANSPORTS } from "./chat.mjs";
import { checkPage, close, until } from "./pages.mjs";

const column = (transport) => `[data-transport=${transport}]`;
const texts = (page, transport) => page.$$eval(`${column(transport)} .text`, (found) => found.map((one) => one.textContent));

/** The value beside a name in the counts of a column. */
async function count(page, transport, name) {
  const rows = await page.$$eval(`${column(transport)} dl > *`, (found) => found.map((one) => one.textContent));
  return Number.parseFloat(rows[rows.indexOf(name) + 1]?.replaceAll(",", ""));
}

async function connected(page, transport) {
  const state = `${column(transport)} .state`;
  await until(`a connection over ${transport}`, async () => (await page.textContent(state)) === "connected" || page.textContent(state));
}

/** Waits for a sentence about the connections that the page holds. */
async function held(page, pattern) {
  await until(`${pattern}`, async () => pattern.test(await page.textContent("#held")) || page.textContent("#held"));
}

export async function checkColumns(browser, start) {
  const server = await start();

  await check("columns: delays are those of the transports, and the counts are the server's", async () => {
    const page = await browser.enter(server, { room: "columns", name: "Anna", view: "columns" });
    for (const transport of ["polling", "long-polling", "sse", "websocket"]) await connected(page, transport);
    await page.click("#burst");
    await until("50 messages", async () => (await texts(page, "websocket")).length >= 50 || texts(page, "websocket"), 20_000);
    await browser.shoot(page, "columns");
    await page.click("#burst");
    await until("the counts of these messages", async () => (await count(page, "long-polling", "requests")) > 40);
    const delay = (transport) => count(page, transport, "mean delay");
    const polling = await delay("polling");
    // Half the interval, and what the browser adds on a busy machine.
    assert.ok(polling > 200 && polling < 600, `polling every 500 ms is ${polling} ms late`);
    for (const transport of ["long-polling", "sse", "websocket"]) {
      const pushed = await delay(transport);
      assert.ok(pushed > 0 && pushed < polling - 100, `${transport} is ${pushed} ms late, polling ${polling} ms`);
    }
    assert.ok((await count(page, "polling", "messages per response")) > 2);
    assert.ok((await count(page, "websocket", "bytes up")) * 3 < (await count(page, "long-polling", "bytes up")));
    await checkPage(page);
    await close(page);
  }, 60_000);

  await check("columns: a column that was cut catches up by its cursor", async () => {
    const page = await browser.enter(server, { room: "cut", name: "Anna", view: "columns" });
    for (const transport of ["polling", "long-polling", "sse", "websocket"]) await connected(page, transport);
    await page.uncheck(`${column("sse")} input[type=checkbox]`);
    for (let written = 0; written < 5; written += 1) await page.click("#once");
    await until("the messages", async () => (await texts(page, "polling")).length === 5 || texts(page, "polling"));
    assert.deepEqual(await texts(page, "sse"), []);
    await page.check(`${column("sse")} input[type=checkbox]`);
    await until("the same messages", async () => (await texts(page, "sse")).length === 5 || texts(page, "sse"));
    assert.deepEqual(await texts(page, "sse"), await texts(page, "polling"));
    await close(page);
  });

  await check("columns: the browser's connections are counted, and the last one is not given away", async () => {
    const page = await browser.enter(server, { room: "held", name: "Anna", view: "columns" });
    await held(page, /2 of 6/);
    for (const count of [3, 4, 5]) {
      await page.selectOption("#add", "sse");
      await held(page, new RegExp(`${count} of 6`));
    }
    await page.selectOption("#add", "long-polling");
    await held(page, /none left/);
    await page.click("#once");
    await until("the message", async () => (await texts(page, "websocket")).length === 1 || texts(page, "websocket"));
    await page.click(`${column("sse")} button`);
    await held(page, /4 of 6/);
    await close(page);
  });

  await check("columns: all transports at once, over several ports", async () => {
    const wide = await start(["--page-ports", "2"]);
    const page = await browser.enter(wide, { room: "ports", name: "Anna", view: "columns" });
    for (const transport of TRANSPORTS.filter((name) => !["polling", "long-polling", "sse", "websocket"].includes(name))) {
      await page.selectOption("#add", transport);
    }
    for (const transport of TRANSPORTS) await connected(page, transport);
    for (let written = 0; written < TRANSPORTS.length; written += 1) await page.click("#once");
    for (const transport of TRANSPORTS) {
      await until(`all messages over ${transport}`, async () => (await texts(page, transport)).length === TRANSPORTS.length || texts(page, transport));
    }
    await held(page, /1 of 6 to .* 1 of 6 to .* 1 of 6 to/);
    await browser.shoot(page, "columns-all");
    await close(page);
    await wide.stop();
  });

  await server.stop();
}
