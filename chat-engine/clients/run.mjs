// Runs the tests with real clients against an instance of its own:
//
//   node chat-engine/clients/run.mjs [--json FILE] [node] [chromium] [stomp-py] [spring]
//
// Names nothing: all four, side by side. FILE gets {"passed": …, "failed": …}. What a suite needs is installed
// beside it (npm, a venv) or in ~/.m2 (Maven). MOYIZA_BIN names another binary than the debug build.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { freePorts, Instance, ownEnvironment } from './instance.mjs';
import { serveLines } from './line.mjs';

const here = import.meta.dirname;
const chromium = resolve(here, '../../infra/scripts/chromium.sh');

/** Heart-beats that a test can wait for, in milliseconds. */
const HEART_BEAT = 1000;
const USERS = 200;
const ROOMS = 4;
/** How long a suite may take, in milliseconds, with what it has to fetch the first time. */
const LIMIT = 900_000;

/** Each: the folder it lives in, what gets it ready, and what runs it and writes JUnit XML to a path. */
const suites = {
  node: {
    folder: 'stompjs',
    prepare: npm,
    command: (report) => [
      ...['node', '--test'],
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...['--test-reporter=junit', `--test-reporter-destination=${report}`],
      ...['--test-concurrency=2', ...tests('stompjs/node', /\.test\.mjs$/)],
    ],
  },
  chromium: {
    folder: 'stompjs',
    prepare: async (log) => {
      await call(log, here, chromium);
      await npm(log);
    },
    command: () => [
      'npx',
      'playwright',
      'test',
      '--config=browser/playwright.config.mjs',
      '--reporter=list,junit',
    ],
  },
  'stomp-py': {
    folder: 'stomp-py',
    prepare: venv,
    command: (report) => ['.venv/bin/pytest', '-p', 'no:cacheprovider', `--junit-xml=${report}`],
  },
  spring: {
    folder: 'spring',
    prepare: maven,
    command: (report) => ['mvn', '-q', '-B', 'test', `-Dreports=${report}`],
  },
};

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => suites[name] === undefined);
if (unknown !== undefined) {
  console.error(`clients: unknown suite ${unknown}: ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
const chosen = positionals.length > 0 ? positionals : Object.keys(suites);

const scratch = await mkdtemp(join(tmpdir(), 'moyiza-clients-reports-'));
const [pagePort] = await freePorts(1);
const instance = await Instance.create({
  MOYIZA_ORIGINS: `http://localhost:${pagePort}`,
  MOYIZA_HEART_BEAT_MS: `${HEART_BEAT},${HEART_BEAT}`,
}).catch((error) => {
  console.error(`clients: ${error.message}`);
  process.exit(2);
});
const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of running) process.kill(-child.pid, 'SIGTERM');
    void instance.stop();
  });
}

let results = [];
let lines;
try {
  await instance.start();
  const seed = await instance.seed(USERS, ROOMS);
  lines = await serveLines(instance.enginePort);
  const environment = {
    ...ownEnvironment(),
    // Tests that restart a broker start one of their own.
    ...(process.env.MOYIZA_BIN && { MOYIZA_BIN: resolve(process.env.MOYIZA_BIN) }),
    BROKER_URL: instance.url,
    BROKER_TOKENS: join(seed, 'tokens.txt'),
    BROKER_ROOMS: join(seed, 'rooms.txt'),
    BROKER_HEART_BEAT: String(HEART_BEAT),
    BROKER_LINES: lines.url,
    PAGE_PORT: String(pagePort),
  };
  console.error(`clients: ${chosen.join(', ')} at ${instance.url}`);
  results = await Promise.all(chosen.map((name) => run(name, environment)));
} catch (error) {
  console.error(`clients: ${error.message}`);
} finally {
  lines?.close();
}
const wrong = await instance.remove();
if (wrong !== undefined) results.push({ name: 'the broker', passed: 0, failed: 1, took: 0 });
if (results.length === 0) results.push({ name: 'the start', passed: 0, failed: 1, took: 0 });
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
if (wrong !== undefined || total('failed') > 0) {
  console.error(`\n== the broker's last lines\n${instance.output.slice(-100).join('\n')}`);
  if (wrong !== undefined) console.error(`clients: ${wrong}`);
}
console.log('');
for (const { name, passed, failed, took } of results) {
  console.log(`${name}: ${passed} passed, ${failed} failed, ${took.toFixed(1)} s`);
}
if (values.json)
  writeFileSync(values.json, JSON.stringify({ passed: total('passed'), failed: total('failed') }));
await rm(scratch, { recursive: true, force: true });
process.exit(total('failed') === 0 ? 0 : 1);

/** Runs a suite; its output comes in one piece when it is over, since others run beside it. */
async function run(name, environment) {
  const { folder, prepare, command } = suites[name];
  const began = performance.now();
  const log = [];
  const report = join(scratch, `${name}.xml`);
  let ok = false;
  try {
    await prepare(log);
    const [program, ...arguments_] = command(report);
    const env = { ...environment, PLAYWRIGHT_JUNIT_OUTPUT_NAME: report };
    ok = await call(log, join(here, folder), program, arguments_, env).then(
      () => true,
      () => false,
    );
  } catch (error) {
    log.push(`clients: ${name} cannot run: ${error.message}\n`);
  }
  console.log(`\n== ${name}\n${log.join('').trimEnd()}`);
  const { passed, failed } = counts(report);
  return {
    name,
    passed,
    // A suite that failed without a failed test, or had none, did not even start.
    failed: failed === 0 && (!ok || passed === 0) ? 1 : failed,
    took: (performance.now() - began) / 1000,
  };
}

/** Adds up JUnit XML: a file, or a folder of them. A skipped test is one that did not pass. */
function counts(report) {
  let passed = 0;
  let failed = 0;
  if (!existsSync(report)) return { passed, failed };
  const files = statSync(report).isDirectory()
    ? readdirSync(report)
        .filter((file) => file.endsWith('.xml'))
        .map((file) => join(report, file))
    : [report];
  for (const file of files) {
    const cases = readFileSync(file, 'utf8').matchAll(/<testcase\b[^>]*?(\/>|>[\s\S]*?<\/testcase>)/g);
    for (const [, inside] of cases) {
      if (/<(failure|error|skipped)\b/.test(inside)) failed += 1;
      else passed += 1;
    }
  }
  return { passed, failed };
}

function tests(folder, pattern) {
  return readdirSync(join(here, folder))
    .filter((file) => pattern.test(file))
    .map((file) => join(here, folder, file));
}

/** Runs a program to its end; fails if it does, or if it is not there. */
async function call(log, cwd, program, arguments_ = [], env = process.env) {
  // A group of its own, so that what it started ends with it.
  const child = spawn(program, arguments_, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  running.add(child);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => log.push(text.toString()));
  const timer = setTimeout(() => {
    log.push(`clients: ${program} took more than ${LIMIT / 1000} s\n`);
    process.kill(-child.pid, 'SIGKILL');
  }, LIMIT);
  try {
    const [code, signal] = await once(child, 'close');
    if (code !== 0) throw new Error(`${program} ended with ${code ?? signal}`);
  } catch (error) {
    if (error.code === 'ENOENT') throw new Error(`\`${program}\` is missing`);
    throw error;
  } finally {
    clearTimeout(timer);
    running.delete(child);
  }
}

/** What npm's lock file says, once for both suites that need it. */
function npm(log) {
  npm.done ??= (async () => {
    const folder = join(here, 'stompjs');
    const stamp = join(folder, 'node_modules/.installed');
    await installed(folder, 'package-lock.json', stamp, async () => {
      await call(log, folder, 'npm', ['ci', '--no-audit', '--no-fund']);
    });
  })();
  return npm.done;
}

async function venv(log) {
  const folder = join(here, 'stomp-py');
  const stamp = join(folder, '.venv/installed');
  await installed(folder, 'requirements.txt', stamp, async () => {
    rmSync(join(folder, '.venv'), { recursive: true, force: true });
    await call(log, folder, 'python3', ['-m', 'venv', '.venv']).catch((error) => {
      throw new Error(`${error.message}: install Python 3.11 with venv, as in: apt-get install python3-venv`);
    });
    const arguments_ = ['install', '--quiet', '--disable-pip-version-check', '--require-hashes'];
    await call(log, folder, '.venv/bin/pip', [...arguments_, '--requirement', 'requirements.txt']);
  });
}

async function maven(log) {
  await call([], here, 'mvn', ['--version']).catch(() => {
    log.push(
      '`mvn` or Java is missing: install Java 17 and Maven, as in: apt-get install openjdk-17-jdk-headless maven\n',
    );
    throw new Error('no Maven');
  });
}

/** Installs, unless the lock file is the one of the last time. */
async function installed(folder, lock, stamp, install) {
  const wanted = readFileSync(join(folder, lock));
  if (existsSync(stamp) && readFileSync(stamp).equals(wanted)) return;
  await install();
  copyFileSync(join(folder, lock), stamp);
}
