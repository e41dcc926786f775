// What other people's programs make of a results folder: ajv of its JSON, hdr-histogram-js of its interval logs.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Ajv from "ajv/dist/2020.js";
import { HistogramLogReader } from "hdr-histogram-js";
import { check } from "./harness.mjs";

const run = promisify(execFile);
const scenario = fileURLToPath(new URL("../../scenarios/smoke.toml", import.meta.url));
const JOB_MAX_MS = 120_000;

// A short job. Exit code 6 is a machine too busy to measure on: its folder is as good as any here.
async function job(binary, out) {
  const set = ["transports=long-polling", "phases.window_s=1"].flatMap((key) => ["--set", key]);
  // Beside whatever else measures here: only what is written matters.
  const env = { ...process.env, PUSHBENCH_ANYWAY: "true" };
  const ended = run(binary, ["run", scenario, "--out", out, ...set], { timeout: JOB_MAX_MS, env });
  await ended.catch((error) => {
    if (error.code !== 6) throw error;
  });
  return join(out, (await readdir(out))[0]);
}

// The sum of a log's intervals, by series.
function sums(log) {
  const reader = new HistogramLogReader(log, 64);
  const found = new Map();
  for (let next = reader.nextIntervalHistogram(); next; next = reader.nextIntervalHistogram()) {
    if (found.has(next.tag)) found.get(next.tag).add(next);
    else found.set(next.tag, next);
  }
  return found;
}

// Two programs add up tenths differently in the last digit: at a step of the distribution either side is right.
const near = (histogram, share) => [-1e-6, 1e-6].map((off) => histogram.getValueAtPercentile(Math.min(100, share * 100 + off)));

export async function checkResults(binary) {
  const out = await mkdtemp(join(tmpdir(), "pushbench-interop-"));
  let folder = out;
  let failure = null;
  try {
    folder = await job(binary, out);
  } catch (error) {
    failure = error;
  }
  const json = async (name) => JSON.parse(await readFile(join(folder, name), "utf8"));
  const records = async () => Promise.all((await readdir(join(folder, "runs"))).sort().map((name) => json(`runs/${name}`)));

  await check("results: a job leaves a folder", async () => {
    if (failure) throw failure;
    assert.equal((await records()).length, 2);
    const there = (await readdir(folder)).sort();
    assert.deepEqual(there, ["costs.csv", "histograms", "manifest.json", "report", "runs", "runs.csv", "seconds.csv", "slices.csv"]);
  });

  await check("results: ajv finds its JSON valid against pushbench schema results, and changed JSON not", async () => {
    const schema = JSON.parse((await run(binary, ["schema", "results"])).stdout);
    const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    for (const file of [await json("manifest.json"), ...(await records())]) {
      assert.ok(valid(file), JSON.stringify(valid.errors, null, 1));
      assert.ok(!valid({ ...file, schema: file.schema + 1 }), "another version");
      assert.ok(!valid({ ...file, scenario: 7, transport: 7 }), "another type");
    }
  });

  await check("results: hdr-histogram-js reads the interval logs, and finds what the records say", async () => {
    for (const record of await records()) {
      const name = String(record.run).padStart(4, "0");
      const found = sums(await readFile(join(folder, `histograms/${name}.hlog`), "utf8"));
      assert.deepEqual([...found.keys()].sort(), Object.keys(record.latency).sort());
      for (const [series, histogram] of found) {
        const said = record.latency[series];
        assert.equal(histogram.totalCount, said.samples, series);
        assert.equal(histogram.maxValue, said.max_us, series);
        for (const [quantile, percentile] of [["p50", 50], ["p90", 90], ["p99", 99]]) {
          if (quantile in said.quantiles) assert.ok(near(histogram, percentile / 100).includes(said.quantiles[quantile].us), series);
        }
      }
    }
  });

  await rm(out, { recursive: true, force: true });
}
