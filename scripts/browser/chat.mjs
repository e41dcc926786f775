// The chat page: one room, one transport at a time.
import assert from "node:assert/strict";
import { check, post } from "../interop/harness.mjs";
import { checkPage, close, until } from "./pages.mjs";

export const TRANSPORTS = ["polling", "long-polling", "http-streaming", "sse", "websocket", "socketio", "stomp"];
const TOKEN = "a-token-for-tests";

const texts = (page) => page.$$eval("#messages .text", (found) => found.map((one) => one.textContent));
const notices = (page) => page.$$eval("#messages .notice", (found) => found.map((one) => one.textContent));
const people = (page) => page.$$eval("#people li", (found) => found.map((one) => one.textContent));

async function use(page, transport) {
  await page.selectOption("#transport", transport);
  if (transport === "polling") await page.fill("#interval", "50"), await page.press("#interval", "Tab");
  await connected(page);
}

const connected = (page) => until("a connection", async () => (await page.textContent("#state")) === "connected" || page.textContent("#state"));

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/** Waits until a page shows these texts among those that begin with a prefix, each once and in this order. */
async function shows(page, prefix, expected) {
  const found = async () => (await texts(page)).filter((text) => text.startsWith(prefix));
  await until(`${expected.length} messages`, async () => (await found()).length >= expected.length || found());
  assert.deepEqual(await found(), expected);
}

export async function checkChat(browser, start) {
  let server = await start();

  await check("page: two people see each other come, write and leave", async () => {
    const anna = await browser.enter(server, { room: "two", name: "Anna" });
    const bea = await browser.enter(server, { room: "two", name: "Bea" });
    for (const page of [anna, bea]) await until("both names", async () => (await people(page)).join() === "Anna,Bea" || people(page));
    await say(anna, "hello");
    await shows(bea, "hello", ["hello"]);
    assert.equal(await bea.textContent("#messages p:last-child .author"), "Anna");
    await checkPage(anna);
    await browser.shoot(anna, "chat");
    await close(bea);
    await until("Bea's leaving", async () => (await notices(anna)).at(-1) === "Bea left" || notices(anna));
    await until("one name", async () => (await people(anna)).join() === "Anna" || people(anna));
    await close(anna);
  });

  await check("page: the entrance is accessible, and refuses a bad room", async () => {
    const page = await browser.open(server.http);
    await checkPage(page);
    await browser.shoot(page, "enter");
    await page.fill("#name", "Anna");
    await page.fill("#room", "no room");
    await page.click("button[value=chat]");
    assert.ok(await page.isVisible("#enter"));
    await close(page);
  });

  await check("page: texts and names are not markup", async () => {
    const attack = '<img src=x onerror="globalThis.attacked = true">';
    const page = await browser.enter(server, { room: "attack", name: attack.slice(0, 39) });
    for (const text of [attack, "<script>globalThis.attacked = true</script>", "&lt;b&gt;"]) await say(page, text);
    await shows(page, "", [attack, "<script>globalThis.attacked = true</script>", "&lt;b&gt;"]);
    await until("the name", async () => (await people(page)).join() === attack.slice(0, 39) || people(page));
    // Notices that no server wrote.
    for (const [ordinal, text] of ["not JSON", "null", '{"joined":7}', '{"left":{"author":1,"name":{}}}'].entries()) {
      const body = JSON.stringify({ author: 0xffffffff, ordinal, text });
      await fetch(`${server.http}/rooms/attack/polling`, { method: "POST", body });
    }
    await say(page, "after");
    await until("the last text", async () => (await texts(page)).at(-1) === "after" || texts(page));
    assert.equal(await page.evaluate(() => globalThis.attacked), undefined);
    assert.equal(await page.$$eval("img", (found) => found.length), 0);
    await close(page);
  });

  await check("page: a change of transport loses nothing", async () => {
    const page = await browser.enter(server, { room: "change", name: "Anna" });
    let written = 0;
    let isWriting = true;
    const write = async () => {
      while (isWriting) await post(server, "change", `from elsewhere ${(written += 1)}`), await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const writing = write();
    const own = [];
    for (const transport of [...TRANSPORTS, ...TRANSPORTS.toReversed()]) {
      await use(page, transport);
      own.push(`own ${own.length}`);
      await say(page, own.at(-1));
    }
    isWriting = false;
    await writing;
    await shows(page, "own", own);
    await shows(page, "from", Array.from({ length: written }, (_, index) => `from elsewhere ${index + 1}`));
    await close(page);
  }, 60_000);

  await check("page: a token is asked for once and kept in the tab", async () => {
    const guarded = await start([], { token: TOKEN });
    const page = await browser.enter(guarded, { room: "guarded", name: "Anna", token: TOKEN, allowed: /401/ });
    const expected = [];
    for (const transport of TRANSPORTS) {
      await use(page, transport);
      expected.push(`over ${transport}`);
      await say(page, expected.at(-1));
      await shows(page, "over", expected);
    }
    await page.reload();
    await page.click("button[value=chat]");
    await shows(page, "over", expected);
    await close(page);
    await guarded.stop();
  }, 60_000);

  await check("page: a restart between two polls is noticed, and nothing of the new log is missed", async () => {
    const anna = await browser.enter(server, { room: "unnoticed", name: "Anna", restarts: true });
    const bea = await browser.enter(server, { room: "unnoticed", name: "Bea", restarts: true });
    for (const text of ["old 1", "old 2"]) await say(bea, text);
    await anna.selectOption("#transport", "polling");
    await anna.fill("#interval", "3000");
    await anna.press("#interval", "Tab");
    await connected(anna);
    await server.stop();
    server = await start([], { listen: server.address });
    const expected = Array.from({ length: 9 }, (_, index) => `new ${index + 1}`);
    for (const text of expected) await say(bea, text);
    const found = async () => (await texts(anna)).filter((text) => text.startsWith("new")).sort();
    await until("all of the new log", async () => (await found()).length >= expected.length || found(), 30_000);
    assert.deepEqual(await found(), expected);
    for (const page of [anna, bea]) await close(page);
  }, 60_000);

  for (const [index, first] of TRANSPORTS.entries()) {
    await check(`page: ${first} and every other transport chat through restarts of the server`, async () => {
      const [anna, bea] = [await browser.enter(server, { room: "pairs", name: "Anna", restarts: true }), await browser.enter(server, { room: "pairs", name: "Bea", restarts: true })];
      await use(anna, first);
      for (const second of TRANSPORTS.slice(index)) {
        await use(bea, second);
        const expected = [];
        const bothSee = async (page, what) => {
          expected.push(`${first}, ${second}: ${what}`);
          await say(page, expected.at(-1));
          for (const reader of [anna, bea]) await shows(reader, `${first}, ${second}:`, expected);
        };
        await bothSee(anna, "one");
        await bothSee(bea, "two");
        await server.stop();
        server = await start([], { listen: server.address });
        // Written without a connection, sent as soon as there is one.
        await bothSee(anna, "three");
        await bothSee(bea, "four");
      }
      for (const page of [anna, bea]) await close(page);
    }, 90_000);
  }
  await server.stop();
}
