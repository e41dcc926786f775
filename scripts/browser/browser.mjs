// Tests the pages of pushbench in Chromium.
// Usage: node browser.mjs path/to/pushbench path/to/chromium FOLDER
// Screenshots are written into FOLDER, to be looked at. The last line is "N passed, N failed, N skipped";
// the exit code is 1 if a check failed.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { startServer, tally } from "../interop/harness.mjs";
import { checkChat } from "./chat.mjs";
import { checkColumns } from "./columns.mjs";
import { Browser } from "./pages.mjs";
import { checkReport } from "./report.mjs";
import { checkWatch } from "./watch.mjs";

const [binary, executablePath, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node browser.mjs path/to/pushbench path/to/chromium FOLDER");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

// Without a sandbox, which Chromium does not have when root runs it. It opens pages of the tested server only.
const chrome = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const browser = new Browser(chrome, folder);
const start = (flags = [], options = {}) => startServer(binary, flags, options);

await checkChat(browser, start);
await checkColumns(browser, start);
await checkWatch(browser, binary);
await checkReport(browser, binary);
await chrome.close();

console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
process.exit(tally.failed === 0 ? 0 : 1);
