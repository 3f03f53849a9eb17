// Runs the end-to-end tests against an instance of its own: node e2e/run.mjs [embedded|cluster] [playwright options]
//
// The instance lives in a temporary directory and on free ports, is started from MOYIZA_BIN (the debug build by
// default), and is stopped afterwards, whatever happens.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const web = resolve(import.meta.dirname, '..');
const repository = resolve(web, '..');
const binary = resolve(process.env.MOYIZA_BIN ?? join(repository, 'target/debug/moyiza'));
const [mode = 'embedded', ...options] = process.argv.slice(2);
/** How long a start may take, in milliseconds; the first one obtains the servers. */
const START = 600_000;
/** How long stopping may take, in milliseconds. */
const STOP = 60_000;

if (mode !== 'embedded' && mode !== 'cluster') fail(`unknown mode ${mode}: embedded or cluster`);
if (!existsSync(binary)) fail(`${binary} is not there: cargo build --workspace, or set MOYIZA_BIN`);

const directory = await mkdtemp(join(tmpdir(), 'moyiza-e2e-'));
// PostgreSQL does not run as root, and has to pass.
await chmod(directory, 0o711);
let code = 1;
const ports = mode === 'embedded' ? await freePorts(0) : await freePorts(10);
const engines = await freePorts(mode === 'embedded' ? 0 : 1);
const instance = start(ports[0], engines[0]);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => instance.child.kill('SIGTERM'));
try {
  await instance.ready;
  const [a, b = a] = ports.map((port) => `http://localhost:${port}`);
  console.error(`e2e: ${mode}, A at ${a}, B at ${b}`);
  const record = JSON.parse(await readFile(join(directory, 'instance/instance.json'), 'utf8'));
  const env = { ...process.env, MOYIZA_A_URL: a, MOYIZA_B_URL: b, MOYIZA_DATABASE: record.databaseUrl };
  const test = spawn('npm', ['run', '--silent', 'e2e', '--', ...options], {
    cwd: web,
    env,
    stdio: 'inherit',
  });
  [code] = await once(test, 'exit');
} catch (error) {
  console.error(`e2e: ${error.message}`);
} finally {
  if (!(await stop(instance.child))) code = 1;
  if (code !== 0) console.error(instance.output.join('\n'));
  await rm(directory, { recursive: true, force: true });
}
process.exit(code ?? 1);

/** Starts the instance; `ready` settles with its ready line, or fails if it ends or takes too long. */
function start(api, engine) {
  const arguments_ = [mode === 'embedded' ? 'run' : 'cluster', '--no-demo'];
  const child = spawn(binary, arguments_, { cwd: directory, env: settings(api, engine), stdio: 'pipe' });
  const output = [];
  const ready = new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`not ready after ${START / 1000} s`)), START);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output.push(line);
        if (/moyiza is ready at /.test(line)) done(clearTimeout(timer));
      });
    }
    child.once('error', failed);
    child.once('exit', (status) => failed(new Error(`moyiza ended with ${status} before it was ready`)));
  });
  return { child, output, ready };
}

/** The environment without settings meant for another instance; moyiza refuses names it does not know. */
function settings(api, engine) {
  const ours = Object.entries(process.env).filter(([name]) => !/^(MOYIZA_|DATABASE_URL$)/.test(name));
  return {
    ...Object.fromEntries(ours),
    MOYIZA_DIR: join(directory, 'instance'),
    MOYIZA_SERVERS_DIR: process.env.MOYIZA_SERVERS_DIR ?? join(repository, '.servers'),
    MOYIZA_API_ADDR: `127.0.0.1:${api}`,
    MOYIZA_ENGINE_ADDR: `127.0.0.1:${engine}`,
  };
}

/** Stops the instance as Ctrl-C does; false if it had ended by itself or had to be killed. */
async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return false;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP);
  const [status] = await ended;
  clearTimeout(timer);
  if (status !== 0) console.error(`e2e: moyiza ended with ${status}`);
  return status === 0;
}

/** A port that is free, and, if a distance is given, one that far above it that is free too. */
async function freePorts(distance) {
  for (;;) {
    const first = await listen(0);
    const { port } = first.address();
    const second = distance === 0 ? undefined : await listen(port + distance).catch(() => null);
    await Promise.all([first, second].map((server) => server && new Promise((done) => server.close(done))));
    if (second === undefined) return [port];
    if (second !== null) return [port, port + distance];
  }
}

function listen(port) {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(port, '127.0.0.1', () => done(server));
  });
}

function fail(message) {
  console.error(`e2e: ${message}`);
  process.exit(2);
}
